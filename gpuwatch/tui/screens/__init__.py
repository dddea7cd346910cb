"""The screens, one module each: a ``draw(context) -> Sheet`` function and the keys that mean something there."""
