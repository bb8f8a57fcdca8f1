from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sdk.masking import MASK, Masker, forms

# The mask's own character is left out: a secret made of it can't be told from the mask.
SECRETS = st.text(
    st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=4, max_size=40
).filter(lambda text: len(text.strip()) >= 4)


def masked(masker: Masker, *pieces: bytes) -> bytes:
    return b"".join([masker.feed(each) for each in pieces] + [masker.finish()])


def cut(data: st.DataObject, stream: bytes) -> list[bytes]:
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@given(st.data(), st.lists(SECRETS, min_size=1, max_size=3), st.lists(st.binary(max_size=20), max_size=6))
def test_no_form_of_a_secret_survives_any_cutting(
    data: st.DataObject, secrets: list[str], noise: list[bytes]
) -> None:
    masker = Masker({str(number): value for number, value in enumerate(secrets)})
    known = sorted({form for value in secrets for form in forms(value)})
    stream = b"".join(
        piece
        for part in [*noise, b""]
        for piece in (part.replace(b"*", b""), data.draw(st.sampled_from(known)))
    )
    out = masked(masker, *cut(data, stream))
    # Between masks nothing of a form is left; across a mask nothing can be.
    assert not [form for form in known for part in out.split(MASK) if form in part]
    assert MASK in out


def test_an_empty_piece_forgets_nothing() -> None:
    secret = "00\x80\x80\x80"
    stream = secret.encode() + base64.b64encode(secret.encode())
    assert masked(Masker({"s": secret}), stream[:-1], b"", stream[-1:]) == masked(
        Masker({"s": secret}), stream
    )


@given(st.data(), SECRETS, st.binary(max_size=80))
def test_cutting_makes_no_difference(data: st.DataObject, secret: str, noise: bytes) -> None:
    stream = noise + secret.encode() + noise + base64.b64encode(secret.encode()) + noise
    whole = masked(Masker({"s": secret}), stream)
    parts = masked(Masker({"s": secret}), *cut(data, stream))
    assert parts == whole


@given(SECRETS, st.binary(max_size=60))
def test_what_holds_no_form_comes_out_as_it_went_in(secret: str, noise: bytes) -> None:
    if any(form in noise for form in forms(secret)):
        return
    assert masked(Masker({"s": secret}), noise) == noise


@given(SECRETS, st.binary(max_size=7), st.binary(max_size=7))
def test_base64_of_something_around_the_secret_does_not_hold_it(
    secret: str, before: bytes, after: bytes
) -> None:
    encoded = base64.b64encode(before + secret.encode() + after)
    out = masked(Masker({"s": secret}), encoded)
    rest = b"".join(out.split(MASK))
    assert MASK in out
    # At most the two characters at each border, which the neighbours decide as well, are left of it.
    assert len(rest) <= len(base64.b64encode(before)) + len(base64.b64encode(after)) + 6


@pytest.mark.parametrize(
    "leak",
    [
        lambda s: s.encode(),
        lambda s: base64.b64encode(s.encode()),
        lambda s: base64.urlsafe_b64encode(s.encode()),
        lambda s: base64.b64encode(b"user:" + s.encode()),
        lambda s: quote(s, safe="").encode(),
        lambda s: quote(s).encode(),
        lambda s: quote_plus(s).encode(),
        lambda s: quote(s, safe="").lower().encode() if s.islower() else quote(s, safe="").encode(),
        lambda s: json.dumps({"token": s}).encode(),
    ],
)
def test_real_leaks_are_masked(leak: object) -> None:
    secret = 'pä"ss\\w/örd?+ &x\n=y'
    assert callable(leak)
    leaked: bytes = leak(secret)
    out = masked(Masker({"s": secret}), b"before " + leaked + b" after")
    assert secret.encode() not in out
    assert leaked not in out
    assert MASK in out


def test_each_line_of_a_secret_of_several_lines_is_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIabcdefgh\n  xyzw12345\n}\n-----END KEY-----\n"
    out = masked(Masker({"KEY": key}), b"a MIIabcdefgh b\n> xyzw12345 }\n")
    assert out == b"a *** b\n> *** }\n"


def test_a_long_secret_in_wrapped_base64_is_masked() -> None:
    secret = "".join(chr(33 + n % 90) for n in range(200))
    out = masked(Masker({"s": secret}), base64.encodebytes(secret.encode()))
    assert out.replace(MASK, b"").strip(b"=\n") == b""


def test_overlapping_secrets_are_masked_as_one() -> None:
    assert masked(Masker({"a": "abcdef", "b": "defghi"}), b"<abcd", b"efghi>") == b"<***>"
    assert masked(Masker({"a": "abab"}), b"ababab") == MASK
    assert masked(Masker({"a": "abcd"}), b"abcdabcd") == MASK + MASK


def test_nothing_is_held_back_that_cannot_become_a_secret() -> None:
    masker = Masker({"s": "hunter2"})
    assert masker.feed(b"compiling hun") == b"compiling "
    assert masker.feed(b"ks\n") == b"hunks\n"
    assert masker.feed(b"hunter") == b""
    assert masker.feed(b"2 done") == b"*** done"
    assert masker.finish() == b""


def test_a_short_secret_is_not_masked_but_named() -> None:
    masker = Masker({"PIN": "42", "TOKEN": "hunter2", "EMPTY": ""})
    assert masker.unmasked == ("PIN",)
    assert masked(masker, b"42 tests, hunter2") == b"42 tests, ***"


def test_a_text_beside_the_stream_is_masked_without_disturbing_it() -> None:
    masker = Masker({"s": "hunter2"})
    assert masker.feed(b"hunt") == b""
    assert masker.text("password hunter2!") == "password ***!"
    assert masker.feed(b"er2") == MASK


def test_an_endless_repetition_of_a_secret_is_not_held_back_forever() -> None:
    masker = Masker({"s": "aaaa"})
    shown = b"".join(masker.feed(b"a" * 1000) for _ in range(100))
    assert shown == MASK
    assert len(masker._held) < 4
    assert masker.feed(b"b") == b"b"


def test_a_large_log_is_masked_quickly() -> None:
    masker = Masker({f"S{n}": f"secret-value-{n}-{'x' * n}" for n in range(5)})
    piece = b"tests/test_something.py::test_case PASSED [ 50%]\n" * 1300
    start = time.perf_counter()
    for _ in range(80):
        masker.feed(piece)
    assert time.perf_counter() - start < 5  # 5 MB


AWKWARD = "p&ss<w>\"o'rd\\ 1/2+3é"


@pytest.mark.parametrize(
    "command",
    [
        "xxd -p", "xxd", "hexdump -C", "od -An -tx1", "od -An -tx2 --endian=big", "base64", "base32", "rev", "jq -Rs .",
        "python3 -c 'import sys; print(repr(sys.stdin.read()))'",
        "python3 -c 'import sys, shlex; print(shlex.quote(sys.stdin.read()))'",
        "python3 -c 'import sys, html; print(html.escape(sys.stdin.read()))'",
        "python3 -c 'import sys; from xml.sax.saxutils import quoteattr; print(quoteattr(sys.stdin.read()))'",
        "python3 -c 'import sys; print(sys.stdin.buffer.read().hex().upper())'",
    ],
)  # fmt: skip
@pytest.mark.parametrize("secret", ["hunter2hunter2hunter2hunter2", AWKWARD])
def test_what_everyday_programs_make_of_a_secret_is_masked(command: str, secret: str) -> None:
    program = command.split()[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(command, shell=True, input=secret.encode(), capture_output=True, check=True)
    out = Masker({"S": secret}).whole(done.stdout)
    assert MASK in out
    packed = out.replace(b" ", b"").replace(b"\n", b"")
    raw = secret.encode()
    for at in range(len(raw) - 9):
        window = raw[at : at + 10]
        for form in (window, window[::-1], window.hex().encode(), base64.b64encode(window[:9])[:-2]):
            assert form not in packed, out


def test_whether_something_hides_a_secret_is_known() -> None:
    masker = Masker({"S": "hunter2hunter2"})
    assert masker.hides(b"\x00\x01hunter2hunter2\x00")
    assert masker.hides(base64.b64encode(b"hunter2hunter2"))
    assert not masker.hides(b"hunter")


def test_of_a_kubeconfig_only_what_is_secret_is_masked_line_by_line() -> None:
    config = (
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://cluster.example.org:6443\n"
        "  name: production\nusers:\n- name: deployer\n  user:\n    token: eyJhbGciOiJSUzI1NiJ9.payload\n"
        "contexts:\n- context:\n    namespace: shop-production\n"
    )
    masker = Masker({"KUBECONFIG": config})
    said = masker.text(
        "apiVersion: v1\nkind: ConfigMap\nto https://cluster.example.org:6443 in shop-production\n"
        "token: eyJhbGciOiJSUzI1NiJ9.payload\n"
    )
    assert "kind: ConfigMap\nto https://cluster.example.org:6443 in shop-production\n" in said
    assert "eyJhbGci" not in said
