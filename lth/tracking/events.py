"""TensorBoard event files, written whole with TensorBoard's own protobufs. Imports no torch.

Lightning's logger writes a round's file while it trains; what is known at once goes through here, and is whole or absent.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layouts
from tensorboard.plugins.histogram import metadata as histograms
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from lth.tree import files

BUCKETS = 50


def scalar(tag: str, value: float) -> Summary:
    return scalar_pb(tag, value)


def text(tag: str, markdown: str) -> Summary:
    return text_pb(tag, markdown)


def histogram(tag: str, values: np.ndarray) -> Summary:
    """Counts of ``values`` (floats, any shape) in BUCKETS equal buckets from the least to the greatest."""
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, BUCKETS) if len(finite) else (np.zeros(0), np.zeros(1))
    # TensorBoard's own histogram_pb makes a matrix of values x buckets, which no large layer bears.
    buckets = make_tensor_proto(np.stack([edges[:-1], edges[1:], counts], axis=1))
    about = histograms.create_summary_metadata(display_name=None, description=None)
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=buckets)])


def layout(categories: dict[str, dict[str, list[str]]]) -> Summary:
    """The page of custom scalars: category -> title of a chart -> regular expressions of the tags that it shows."""
    proto = layout_pb2.Layout()
    for category, charts in categories.items():
        group = proto.category.add(title=category)
        for title, tags in charts.items():
            group.chart.add(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))
    content = make_tensor_proto(np.array(proto.SerializeToString(), dtype=object))
    value = Summary.Value(tag=layouts.CONFIG_SUMMARY_TAG, metadata=layouts.create_summary_metadata(), tensor=content)
    return Summary(value=[value])


def write(path: Path, steps: list[tuple[int, Summary]], when: float) -> None:
    """Write an event file atomically: summaries with their steps, all at one wall time (seconds since 1970)."""
    content = io.BytesIO()
    writer = RecordWriter(content)
    events: list[Any] = [Event(wall_time=when, file_version="brain.Event:2")]
    events += [Event(wall_time=when, step=step, summary=summary) for step, summary in steps]
    for event in events:
        writer.write(event.SerializeToString())
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, content.getvalue())
