"""Names in the order that people expect: `item 2` before `item 10`, `apple` beside `Apple`."""

from django.db.models import CharField, Func

DIGITS = 14  # places, as a GTIN has; a name of 200 characters, every second a digit, still fits an index row


class Natural(Func):
    """The key by which a text sorts naturally: in lower case, every run of digits filled up with zeros from the left.

    Immutable in Postgres, so that an index may hold it. Runs of more than DIGITS digits compare by their last ones;
    add the text itself to an order that has to be total.
    """

    arity = 1
    output_field = CharField()
    template = (
        "regexp_replace(regexp_replace(lower(%(expressions)s), '(\\d+)', '{zeros}\\1', 'g'),"
        " '\\d*(\\d{{{digits}}})(?!\\d)', '\\1', 'g')"
    ).format(zeros="0" * DIGITS, digits=DIGITS)
