"""The golden frames that every client in every language is tested with."""

import json
from pathlib import Path

import pytest

from protocol import errors
from protocol.batches import decode_batch, encode_batch
from protocol.compact import Bases
from protocol.events import Kind, PriceUpdate
from protocol.frames import LAYOUTS, decode_v1, decode_v2, encode_v1, encode_v2

VECTORS = json.loads((Path(__file__).parents[2] / "protocol" / "vectors.json").read_text())
READERS = {"v1": decode_v1, "v2": decode_v2, "batch": decode_batch}


def by_name(section):
    return pytest.mark.parametrize("vector", VECTORS[section], ids=lambda vector: vector["name"])


def rows(row, records):
    """64-bit integers are strings in the file."""
    assert all(list(record) == list(row._fields) for record in records)
    return [
        row._make(int(value) if isinstance(value, str) else value for value in record.values())
        for record in records
    ]


@by_name("v1")
def test_v1(vector):
    updates, frame = rows(PriceUpdate, vector["records"]), bytes.fromhex(vector["hex"])
    assert encode_v1(updates) == frame
    assert decode_v1(frame).tolist() == updates


@by_name("v2")
def test_v2(vector):
    kind, time_us, frame = Kind[vector["kind"]], int(vector["time_us"]), bytes.fromhex(vector["hex"])
    values = rows(LAYOUTS[kind].row, vector["records"])
    assert encode_v2(values, time_us, kind) == frame
    decoded = decode_v2(frame)
    assert (decoded.kind, decoded.time_us, decoded.rows()) == (kind, time_us, values)


@by_name("compact")
def test_compact(vector):
    bases = Bases()
    for step in vector["frames"]:
        frame = decode_v2(bytes.fromhex(step["hex"]))
        if frame.kind is Kind.BASE:
            bases.update(frame.records)
            assert step["prices"] == []
        elif "error" in step:
            with pytest.raises(errors.ProtocolError) as caught:
                bases.prices(frame.records)
            assert type(caught.value) is getattr(errors, step["error"])
        else:
            assert bases.prices(frame.records).tolist() == rows(PriceUpdate, step["prices"])


@by_name("batches")
def test_batch(vector):
    header = [int(vector[field]) for field in ("epoch_us", "sequence", "received_us")]
    frames = [
        bytes.fromhex(one["hex"]) for name in vector["frames"] for one in VECTORS["v2"] if one["name"] == name
    ]
    payload = bytes.fromhex(vector["hex"])
    assert encode_batch(*header, frames) == payload
    batch = decode_batch(payload)
    assert list(batch[:3]) == header
    assert [frame.rows() for frame in batch.frames] == [decode_v2(frame).rows() for frame in frames]


@pytest.mark.parametrize("vector", VECTORS["bad"], ids=lambda vector: f"{vector['reader']}: {vector['name']}")
def test_bad_frames_are_refused_with_the_named_error(vector):
    with pytest.raises(errors.ProtocolError) as caught:
        READERS[vector["reader"]](bytes.fromhex(vector["hex"]))
    assert type(caught.value) is getattr(errors, vector["error"])


def test_every_kind_has_an_empty_frame_a_frame_of_one_and_a_frame_of_several():
    lengths = {(vector["kind"], min(len(vector["records"]), 2)) for vector in VECTORS["v2"]}
    assert lengths == {(kind.name, length) for kind in Kind for length in (0, 1, 2)}


def test_names_are_unique():
    for section in ("v1", "v2", "batches", "compact"):
        names = [vector["name"] for vector in VECTORS[section]]
        assert len(names) == len(set(names))
