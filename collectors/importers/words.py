"""Words that stand in dates: months, weekdays and halves of the day in the languages that ``date`` and spreadsheets write."""

from __future__ import annotations

_MONTHS = (
    "january jan janvier janv januar jän jänner enero ene gennaio gen janeiro januari",
    "february feb février févr fevrier fevr februar febrero febbraio fevereiro fev februari",
    "march mar mars märz mrz mär marzo março marco maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag maio mei",
    "june jun juin juni junio giugno giu junho",
    "july jul juillet juil juli julio luglio lug julho",
    "august aug août aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct octobre oktober okt octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec décembre déc decembre dezember dez diciembre dic dicembre dezembro december",
)
MONTHS = {word: number for number, words in enumerate(_MONTHS, 1) for word in words.split()}
_WEEKDAYS = (
    "mon tue wed thu fri sat sun tues thur thurs monday tuesday wednesday thursday friday saturday sunday "
    "mo di mi do fr sa so montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag "
    "lun mar mer jeu ven sam dim lundi mardi mercredi jeudi vendredi samedi dimanche "
    "mié mie jue vie sáb sab dom lunes martes miércoles miercoles jueves viernes sábado sabado domingo "
    "gio lunedì martedì mercoledì giovedì venerdì sabato domenica ma wo vr za zo maandag dinsdag woensdag donderdag vrijdag "
    "zaterdag zondag seg ter qua qui sex segunda terça quarta quinta sexta feira de del le am "
    "星期一 星期二 星期三 星期四 星期五 星期六 星期日 星期天 周一 周二 周三 周四 周五 周六 周日 日 月 火 水 木 金 土 일 월 화 수 목 금 토"
)
WEEKDAYS = frozenset(_WEEKDAYS.split())
"""Also the small words that stand between the parts of a date."""
HALVES = {
    "am": 0, "a.m.": 0, "a. m.": 0, "上午": 0, "午前": 0, "오전": 0,
    "pm": 12, "p.m.": 12, "p. m.": 12, "下午": 12, "午後": 12, "오후": 12,
}  # fmt: skip
