"""YAML as plain data: what `yaml.safe_load` reads of it is read alike, and nothing grows beyond the bytes given."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from models.registry.description.plain import DEEPEST, LARGEST, LONGEST_NUMBER, NotPlain, read_plain

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False) | texts
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5), max_leaves=30
)

LAUGHS = b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10)
)


class NoAliases(yaml.SafeDumper):
    """Writes a list that stands there twice out twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@settings(max_examples=200)
@given(documents, st.booleans())
def test_plain_data_is_read_as_yaml_reads_it(document, flow):
    written = yaml.dump(document, Dumper=NoAliases, allow_unicode=True, default_flow_style=flow).encode()

    assert read_plain(written) == yaml.safe_load(written)


@pytest.mark.parametrize(
    "text",
    ["1", "0x1f", "0o17", "017", "1_000", "1:20", "-.inf", "1.5e3", "1e3", "yes", "No", "~", "", "'1'", "08"],
)
def test_a_scalar_means_what_it_means_to_yaml(text):
    written = f"a: {text}\n".encode()

    assert read_plain(written) == yaml.safe_load(written)


def test_a_date_and_a_number_that_is_none_stay_text():
    long = "9" * (LONGEST_NUMBER + 1)

    assert read_plain(f"a: 2026-01-02\nb: {long}\nc: {long[1:]}\n".encode()) == {
        "a": "2026-01-02",
        "b": long,
        "c": int(long[1:]),
    }


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (LAUGHS, "line 1 has an anchor (&a0)"),
        (b"a: 1\nb: *a\n", "line 2 has an alias (*a)"),
        (b"x: 1\ny: {<<: {a: 1}}\n", "line 2 has a merge key (<<)"),
        (b"a: !!python/name:os.system x\n", "line 1 has a tag (tag:yaml.org,2002:python/name:os.system)"),
        (b"a: !!binary aGk=\n", "has a tag"),
        (b"a: !own x\n", "has a tag"),
        (b"a: 1\nb: 2\na: 3\n", "the key 'a' in line 3 stands there twice"),
        (b"[1, 2]: x\n", "a key in line 1 is no text"),
        (b"a: 1\n---\nb: 2\n", "a second document begins in line 2"),
        (b"[" * (DEEPEST + 1), f"lies deeper than {DEEPEST} levels"),
        (b"x" * (LARGEST + 1), f"at most {LARGEST:,} are read"),
        (b"a: b: c\n", "it is no YAML: mapping values are not allowed"),
        (b"\xff\xfe\x00", "it is no YAML"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_place(data, said):
    with pytest.raises(NotPlain) as refused:
        read_plain(data)

    assert said in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("data", [b"", b"# nothing\n"])
def test_no_document_is_none(data):
    assert read_plain(data) is None
