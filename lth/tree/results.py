"""results.csv: a row for each round, fractions from 0 to 1, seconds; what a sweep varied by dotted keys of the configuration."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields

from lth.tree import settings
from lth.tree.record import Record

LEFT_OUT = {"folder", "format", "hash", "round_format", "test"}
COLUMNS = [f.name for f in fields(Record) if f.name not in LEFT_OUT and "dict" not in str(f.type) and "list" not in str(f.type)]


def to_csv(records: Sequence[Record]) -> bytes:
    """Return the records as a CSV file, in the order in which their rounds were finished."""
    keys = settings.varied(records)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *keys])
    for record in sorted(records, key=lambda record: (record.finished, record.round, record.key)):
        writer.writerow([getattr(record, name) for name in COLUMNS] + [settings.setting(record, key) for key in keys])
    return text.getvalue().encode()
