"""Secrets that no name gives away: their place after a certain program does (``mysql -pSECRET``, ``wandb login KEY``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gpuwatch.dataclass import dataclass
from gpuwatch.text import lazy


@dataclass(frozen=True, slots=True)
class Places:
    """Where a program takes secrets. ``only_after``: a subcommand without which nothing is one.

    ``attached``: options with the secret in the same word; ``following``: options with it in the next word; ``users``: options
    whose value is ``user:secret`` (or ``user%secret``), in the same word or the next; ``words``: the next word that is no option.
    """

    attached: str = ""
    following: tuple[str, ...] = ()
    users: str = ""
    words: tuple[str, ...] = ()
    only_after: str = ""


_MYSQL = Places(attached="p")
_MONGO = Places(following=("-p",))
_LOGIN = Places(following=("-p",), only_after="login")
_ZIP = Places(following=("-P",))
_LDAP = Places(following=("-w",))
_PROGRAMS: Mapping[str, Places] = {
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mariadb", "mariadb-dump", "7z", "7za", "7zz"), _MYSQL),
    **dict.fromkeys(("mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"), _MONGO),
    **dict.fromkeys(("docker", "podman", "nerdctl", "az"), _LOGIN),
    **dict.fromkeys(("zip", "unzip"), _ZIP),
    **dict.fromkeys(("ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami"), _LDAP),
    **dict.fromkeys(("curl",), Places(users="uU")),
    **dict.fromkeys(("http", "https", "xh"), Places(users="a")),
    **dict.fromkeys(("smbclient", "rpcclient"), Places(users="U")),
    **dict.fromkeys(("wandb", "vault", "comet", "neptune"), Places(words=("login",))),
    "sshpass": Places(attached="p", following=("-p",)),
    "redis-cli": Places(attached="a", following=("-a",)),
    "openssl": Places(following=("-k", "-K")),
    "ssh-keygen": Places(following=("-N", "-P")),
    "ngrok": Places(words=("authtoken", "add-authtoken")),
    "rclone": Places(words=("obscure",)),
}
_END = frozenset((";", "|", "||", "&", "&&"))
_NAMED = lazy(r"(?i)[a-z_-]*(?:secret_?access_?key|session_?token|api_?key|authtoken|requirepass|masterauth)")
"""Bare words after which a secret follows, whatever the program: ``aws configure set aws_secret_access_key …``."""

_USER = lazy(r"(?:-u|--(?:proxy-)?user)(?:(=)|$)")
"""Options whose value may be ``user:secret``, whatever the program."""


def placed(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """(index of a word, offset in it from which it is a secret) by place alone."""
    places: Places | None = None
    active, next_word = False, ""
    for index, word in enumerate(words):
        if next_word == "word" and word.startswith("-"):
            continue  # an option of the subcommand
        if next_word:
            if next_word != "user" or ":" in word or "%" in word:
                yield index, 0
            next_word = ""
            continue
        found = _PROGRAMS.get(word.rpartition("/")[2])
        if user := _USER.match(word):
            next_word = "" if user[1] else "user"
            if user[1] and ":" in word[user.end() :]:
                yield index, user.end()
        elif found is not None:
            places, active = found, not found.only_after
        elif word in _END:
            places = None
        elif _NAMED.fullmatch(word) and index:
            next_word = "word"
        elif places is not None:
            active = active or word == places.only_after
            if active:
                offset, next_word = _of_program(places, word)
                if offset:
                    yield index, offset


def _of_program(places: Places, word: str) -> tuple[int, str]:
    """(offset of a secret in the word or 0, what the next word is: ``value``, ``user``, ``word`` or nothing)."""
    if word in places.words:
        return 0, "word"
    if word in places.following:
        return 0, "value"
    if places.attached and len(word) > 2 and word[0] == "-" and word[1] in places.attached:
        return 2, ""
    if places.users and (found := re.match(rf"-[a-zA-Z]*?[{places.users}]", word)):
        rest = word[found.end() :]
        if not rest:
            return 0, "user"
        return (found.end(), "") if ":" in rest or "%" in rest else (0, "")
    return 0, ""
