"""Writes the named seeds of the fuzz targets into fuzz/corpus: python3 fuzz/seeds.py

Names with a number are rows of the matrix of bad inputs. The rest of a corpus, under hashes, is what
libFuzzer found; `cargo fuzz cmin` throws away those that reach nothing new, and this script puts the named
ones back. It uses the standard library alone, and the same bytes come out each time.
"""

import io
import pathlib
import struct
import zipfile

FUZZ = pathlib.Path(__file__).parent
FIXTURES = FUZZ.parent / "fixtures"


def save(target, name, data):
    folder = FUZZ / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


# .npy


def npy(text, body=b"", version=1):
    header = text.encode("latin-1") + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + body


def header(descr="'<f4'", order="False", shape="(3, 2)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


BODY = struct.pack("<6f", -2, 1, 0, 3, 1, -1)
X = npy(header(), BODY)
PAIR = "'fortran_order': False, 'shape': (3, 2)"

HEADERS = {
    "golden-numpy": npy(header() + " " * 56, BODY),
    "golden-python-2": npy(header(shape="(3L, 2L)"), BODY),
    "golden-version-2": npy(header(), BODY, 2),
    "golden-version-3": npy(header(), BODY, 3),
    "row05-magic": b"\x93NUMPY",
    "row05-nine-bytes": b"\x93NUMPY\x01\x00\x76",
    "row06-png": b"\x89PNG\r\n\x1a\n\0\0",
    "row08-version-9": X.replace(b"NUMPY\x01", b"NUMPY\x09"),
    "row09-length": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 52,
    "row10-past-end": X[:40],
    "row11-braces": npy("{'descr': " + "{" * 29),
    "row11-brackets": npy("[" * 3900),
    "row11-brackets-in-descr": npy(header("[" * 3900)),
    "row12-no-dict": npy("3"),
    "row12-missing": npy(f"{{{PAIR}}}"),
    "row12-missing-order": npy("{'descr': '<f4', 'shape': (3, 2)}"),
    "row12-missing-shape": npy("{'descr': '<f4', 'fortran_order': False}"),
    "row12-extra": npy(f"{{'descr': '<f4', {PAIR}, 'more': 1}}"),
    "row12-double": npy(f"{{'descr': '<f4', {PAIR}, {PAIR}}}"),
    "row13-latin": X.replace(b"descr", b"d\xe9scr"),
    "row13-utf8": npy(header("'<f4\xff'"), b"", 3),
    "row13-no-newline": X.replace(b"}\n", b"} "),
    "row14-order": npy(header(order="1")),
    "row14-list": npy(header(shape="[3, 2]")),
    "row14-int": npy(header(shape="3")),
    "row14-no-tuple": npy(header(shape="(3)")),
    "row14-true": npy(header(shape="(True,)")),
    "row14-float": npy(header(shape="(3.0, 2)")),
    "row15-negative": npy(header(shape="(3, -1)")),
    "row16-dim": npy(header(shape=f"({2**128}, 2)")),
    "row16-isize": npy(header(shape=f"({2**63}, 2)")),
    "row17-product": npy(header(shape=f"({2**62}, 4)")),
    "row17-wraps": npy(header(shape="(4194305, 4194305, 211106198978564)")),
    "row18-zero-times-huge": npy(header(shape=f"(0, {2**64 - 1}, 4)")),
    "row19-four-tib": npy(header(shape=f"({2**40}, 1)"), b"\0\0\0\0"),
    "row20-forty-gb": npy(header(shape="(5000000000, 2)"), BODY),
    "row21-short": X[:-1],
    "row21-long": X + b"\0",
    "row22-header-only": X[: -len(BODY)],
    "row26-bfloat16": npy(header("'<V2'")),
    "row27-fortran": npy(header(order="True"), BODY),
    "row27-zero-axes": npy(header(shape="()"), BODY[:4]),
    "row28-one-axis": npy(header(shape="(6,)"), BODY),
    "row28-forty-axes": npy(header(shape="(" + "1, " * 40 + ")"), BODY[:4]),
    "row30-empty": npy(header(shape="(0, 3, 2)")),
}
for number, kind in enumerate(["|O", "|V8", "<U3", "|S3", "|a3", "<M8[ns]", "<m8[s]", "<c8", "<f16", "<i3"]):
    HEADERS[f"row25-dtype-{number}"] = npy(header(f"'{kind}'"))
HEADERS["row25-dtype-structured"] = npy(header("[('a', '<f4')]"))
for kind, size in {"|b1": 1, "|?": 1, "|i1": 1, "|u1": 1, "<i2": 2, ">u2": 2, ">i4": 4, "=u4": 4, "i8": 8,
                   "<u8": 8, "<f2": 2, ">f4": 4, "<f8": 8}.items():
    name = "".join(letter for letter in kind if letter.isalnum()) or "bool"
    HEADERS[f"row27-{name}"] = npy(header(f"'{kind}'"), (BODY * 2)[: 6 * size])

STREAMS = {
    "row04-empty": b"",
    "row07-archive": b"PK\x03\x04\x14\0\0\0\0",
    "row20-forty-gb": HEADERS["row20-forty-gb"],
    "row21-short": HEADERS["row21-short"],
    "row22-header-only": HEADERS["row22-header-only"],
    "row23-two": X + HEADERS["row27-fortran"],
    "row24-garbage": X + b"garbage behind it",
    "row27-many": X + HEADERS["row27-f2"] + HEADERS["row27-i4"] + HEADERS["row30-empty"] + HEADERS["row27-b1"],
}


# Archives


def archive(members, method=zipfile.ZIP_STORED, comment=b""):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            out.writestr(info, data)
        out.comment = comment
    return file.getvalue()


def both(data, bit):
    """Sets a bit of the flags in the local headers and in the directory."""
    data = bytearray(data)
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + at] |= bit
    return bytes(data)


def size(data, value):
    """Another size of the first member in the directory."""
    at = data.index(b"PK\x01\x02") + 24
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


ONE = archive([("a.npy", X)])
TWO = archive([("a.npy", X), ("b.npy", HEADERS["row27-fortran"])])

ARCHIVES = {
    "one": ONE,
    "two": TWO,
    "two-deflated": archive([("a.npy", X), ("b.npy", X * 1)], zipfile.ZIP_DEFLATED),
    "comment": archive([("a.npy", X), ("b.npy", X)], comment=b'{"input_size": 2}'),
    "types": archive([(f"{name}.npy", data) for name, data in HEADERS.items() if name.startswith("row27")]),
    "row07-named-npy": ONE,
    "row33-bomb": archive([("a.npy", X + bytes(1 << 20))], zipfile.ZIP_DEFLATED),
    "row34-crc": ONE.replace(BODY, bytes(24)),
    "row34-size": size(ONE, 1 << 30),
    "row34-truncated": ONE[:-30],
    "row34-encrypted": both(ONE, 1),
    "row34-zip64": size(ONE, 0xFFFFFFFF),
    "row34-empty-member": archive([("a.npy", b"")]),
    "row34-text": archive([("a.npy", b"text")]),
    "row34-short": archive([("a.npy", X[:80])]),
    "row34-long": archive([("a.npy", X + b"\0"), ("b.npy", X)]),
    "row35-double": TWO.replace(b"b.npy", b"a.npy"),
    "row35-double-without-suffix": archive([("a", X), ("a.npy", X)]),
    "row35-names": archive([("../../w.npy", X), ("/abs.npy", X), ("\x1b[2J.npy", X)]),
    "row35-nul": archive([("axb.npy", X), ("b.npy", X)]).replace(b"axb", b"a\0b"),
    "row36-many": archive([(str(number), b"") for number in range(40)]),
    "row36-none": archive([]),
    "no-numpy": archive([("a.txt", b"text"), ("b/", b"")]),
}


# .safetensors


def safetensors(text, count, length=None):
    text = text.encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(count)


def tensor(name, dtype, shape, offsets):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'


W = tensor("w", "F32", "[2]", "[0,8]")
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U8": 1, "U16": 2,
         "U32": 4, "U64": 8, "BOOL": 1}


def every_type():
    tensors, start = [], 0
    for dtype, count in SIZES.items():
        tensors.append(tensor(dtype, dtype, "[1,2]", f"[{start},{start + 2 * count}]"))
        start += 2 * count
    return safetensors("{" + ",".join(tensors) + "}", start)


LAYER = ",".join([
    tensor("rnn.weight_ih_l0", "F32", "[1,2]", "[0,8]"),
    tensor("rnn.weight_hh_l0", "F32", "[1,1]", "[8,12]"),
])

SAFETENSORS = {
    "every-type": every_type(),
    "layer": safetensors("{" + LAYER + "}", 12),
    "layer-configured": safetensors(
        r'{"__metadata__":{"rnn.json":"{\"input_size\":2,\"hidden_size\":1,\"bias\":false}"},' + LAYER + "}", 12),
    "like-a-pickle": safetensors("{" + " " * 638 + "}", 0),
    "row38-length": safetensors("{}", 0, 2**64 - 1),
    "row38-limit": safetensors("{}", 0, 100_000_001),
    "row38-past-end": safetensors("{}", 0, 3),
    "row38-short": b"\2\0\0\0\0\0\0",
    "row39-tensor": safetensors("{" + W + "," + W + "}", 8),
    "row39-key": safetensors('{"__metadata__":{"a":"1","b":"2","a":"3"}}', 0),
    "row39-metadata": safetensors('{"__metadata__":{},"__metadata__":{}}', 0),
    "row40-hole": safetensors("{" + W + "," + tensor("v", "F32", "[2]", "[12,20]") + "}", 20),
    "row40-overlap": safetensors("{" + W + "," + tensor("v", "F32", "[2]", "[4,12]") + "}", 12),
    "row40-trailing": safetensors("{" + W + "}", 9),
    "row40-short": safetensors("{" + W + "}", 7),
    "row40-shape": safetensors("{" + tensor("w", "F32", "[3]", "[0,8]") + "}", 8),
    "row40-descends": safetensors("{" + tensor("w", "F32", "[2]", "[8,0]") + "}", 8),
    "row40-dtype": safetensors("{" + tensor("w", "F8_E4M3", "[8]", "[0,8]") + "}", 8),
    "row40-large": safetensors("{" + tensor("w", "F32", f"[{2**62},4]", "[0,8]") + "}", 8),
    "row40-zero-times-huge": safetensors("{" + tensor("w", "F32", f"[0,{2**64 - 1},4]", "[0,0]") + "}", 0),
    "row40-axes": safetensors("{" + tensor("w", "F32", "[" + "1," * 64 + "1]", "[0,4]") + "}", 4),
    "row41-deep": safetensors('{"w":{"x":' + "[" * 1900 + "]" * 1900 + "}}", 0),
    "row41-open": safetensors('{"w":' + "[" * 3900, 0),
    "row42-no-tensors": safetensors("{}", 0),
    "row42-no-field": safetensors('{"w":{"dtype":"F32"}}', 0),
    "row42-number": safetensors('{"w":3}', 0),
    "row42-nonsense": safetensors('{"w": nonsense}', 0),
    "row42-metadata": safetensors('{"__metadata__":{"a":3}}', 0),
    "row42-half-a-bias": safetensors("{" + LAYER + "," + tensor("rnn.bias_ih_l0", "F32", "[1]", "[12,16]") + "}", 16),
}


# .pt


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def view(numel, shape, strides=None, kind="Float"):
    strides = strides or [0] * len(shape)
    storage = b"((" + text("storage") + f"ctorch\n{kind}Storage\n".encode() + text("0") + text("cpu")
    storage += integer(numel) + b"tQ"
    sizes = b"(" + b"".join(map(integer, shape)) + b"t(" + b"".join(map(integer, strides)) + b"t"
    call = b"ctorch._utils\n_rebuild_tensor_v2\n" + storage + integer(0) + sizes
    return call + b"\x89ccollections\nOrderedDict\n)RtR"


def pickle(body):
    return b"\x80\x02" + body + b"."


def checkpoint(body, *members):
    return archive([("m/data.pkl", pickle(body)), ("m/version", b"3\n"), *members])


def state(**tensors):
    return b"}" + b"".join(text(name) + tensor + b"s" for name, tensor in tensors.items())


def memo_bomb():
    levels = (b"(" + bytes([ord("h"), level - 1]) * 10 + b"tq" + bytes([level]) for level in range(1, 12))
    return b")q\0" + b"".join(levels)


SYSTEM = b"cposix\nsystem\n" + text("touch canary") + b"\x85R"
DATA = ("m/data/0", struct.pack("<4f", 1, 2, 3, 4))
MODULE = (b"cm\nA\n)\x81q\0}(" + text("n") + b"\x88\x8c\x08_modules}\x8c\x01ccm\nB\n)\x81}" + text("p")
          + b"G\x3f\xe0\0\0\0\0\0\0sb" + text("w") + view(1, [2]) + b"sub")

PT = {
    "one": checkpoint(state(w=view(4, [2, 2], [2, 1])), DATA),
    "layer": checkpoint(state(weight_ih_l0=view(4, [1, 2], [2, 1]), weight_hh_l0=view(4, [1, 1], [1, 1])), DATA),
    "module": checkpoint(MODULE, DATA),
    "row43-two-of-one-name": checkpoint(
        b"}" + text("a.b") + view(1, [2]) + b"s" + text("a") + state(b=view(1, [2])) + b"s", DATA),
    "row43-repeated": checkpoint(state(w=view(1, [1 << 14, 1 << 14])), DATA),
    "row18-zero-times-huge": checkpoint(state(w=view(1, [0, 1 << 30, 1 << 30, 1 << 30])), DATA),
    "row43-absent": checkpoint(state(w=view(1, [2]))),
    "row43-storage-short": checkpoint(state(w=view(1, [2])), ("m/data/0", b"\0\0\0")),
    "row43-big-endian": checkpoint(state(w=view(1, [2])), ("m/byteorder", b"big"), DATA),
    "row43-compressed": archive([("m/data.pkl", pickle(b"N" * 3000))], zipfile.ZIP_DEFLATED),
    "row43-script": checkpoint(state(w=view(1, [2])), ("m/constants.pkl", b""), DATA),
    "row44-plain-pickle": pickle(state(w=view(1, [2]))),
}
for kind in ["Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool"]:
    PT[f"type-{kind}"] = checkpoint(state(w=view(1, [1], [1], kind)), DATA)
for name, body in {
    "system": SYSTEM,
    "system-in-dict": b"}" + text("weight_ih_l0") + SYSTEM + b"s",
    "memo-bomb": memo_bomb(),
    "deep": b")" + b"\x85" * 3000,
    "short-tuple": b"ctorch._utils\n_rebuild_tensor_v2\nK\x01\x85R",
    "four-gib": b"X\xff\xff\xff\xff",
    "no-stack": b"R",
}.items():
    PT[f"row43-{name}"] = checkpoint(body)
    PT[f"row43-{name}-plain"] = pickle(body)


# .onnx


def varint(value):
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(at, value):
    return varint(at << 3) + varint(value)


def onnx_tensor(name, kind, sizes, numbers):
    return b"".join(number(1, size) for size in sizes) + number(2, kind) + field(8, name) + numbers


def node(kind, name, inputs, outputs, *attributes):
    names = lambda at, words: b"".join(field(at, "" if word == "_" else word) for word in words.split())
    return (names(1, inputs) + names(2, outputs) + field(3, name) + field(4, kind)
            + b"".join(field(5, attribute) for attribute in attributes))


def of_graph(graph, opset=20):
    return number(1, 8) + field(8, number(2, opset)) + field(7, graph)


def graph(nodes, tensors=()):
    values = b"".join(field(11, field(1, name)) for name in "xh")
    return of_graph(b"".join(field(1, n) for n in nodes) + b"".join(field(5, t) for t in tensors) + values)


def floats(name, sizes):
    count = 1
    for length in sizes:
        count *= length
    return onnx_tensor(name, 1, sizes, field(9, struct.pack(f"<{count}f", *[0.5] * count)))


def texts(name, *values):
    return field(1, name) + b"".join(field(9, value) for value in values) + number(20, 8)


def ints(name, *values):
    return field(1, name) + b"".join(number(8, value % 2**64) for value in values) + number(20, 7)


def past(at):
    return varint(at << 3 | 2) + varint(1 << 40) + b"\0"


def deep(levels):
    inner = b""
    for _ in range(levels):
        inner = field(1, field(5, field(1, "body") + field(6, inner) + number(20, 5)))
    return inner


RNN = node("RNN", "rnn", "x W R", "y")
R, WEIGHT = floats("R", [1, 2, 2]), floats("W", [1, 2, 2])


def rnn(*more, nodes=(RNN,)):
    return graph(nodes, [R, *more])


ONNX = {
    "one": rnn(WEIGHT),
    "attributes": rnn(WEIGHT, nodes=[node("RNN", "rnn", "x W R _ _ h", "y yh", texts("activations", "Relu"),
                                          field(1, "direction") + field(4, "forward") + number(20, 3),
                                          field(1, "hidden_size") + number(3, 2) + number(20, 2),
                                          field(1, "clip") + varint(2 << 3 | 5) + b"\0\0\0\0" + number(20, 1))]),
    "constant": rnn(nodes=[node("Constant", "", "", "W", field(1, "value") + field(5, WEIGHT) + number(20, 4)), RNN]),
    "constant-ints": rnn(WEIGHT, nodes=[node("Constant", "", "", "a", ints("value_ints", 1)), RNN,
                                        node("Squeeze", "", "y a", "z")]),
    "swapped": rnn(WEIGHT, nodes=[node("Transpose", "", "x", "t", ints("perm", 1, 0, 2)),
                                  node("RNN", "rnn", "t W R", "y"), node("Squeeze", "", "y", "s", ints("axes", 1)),
                                  node("Transpose", "", "s", "o", ints("perm", 1, 0, 2))]),
    "value": of_graph(field(1, RNN) + field(5, WEIGHT) + field(5, R)
                      + field(11, field(1, "x") + field(2, field(1, number(1, 1) + field(2, field(1, field(2, "L"))
                                                                                         + field(1, number(1, 2))))))
                      + field(12, field(1, "y"))) + field(14, field(1, "rnn.json") + field(2, "{}")),
    "row45-cut": rnn(WEIGHT)[:-1],
    "row45-bytes": rnn(onnx_tensor("W", 1, [1, 2, 2], field(9, bytes(15)))),
    "row45-numbers": rnn(onnx_tensor("W", 1, [1, 2, 2], field(4, bytes(12)))),
    "row45-large": rnn(onnx_tensor("W", 1, [1 << 62, 4, 2], b"")),
    "row45-zero-times-huge": rnn(onnx_tensor("W", 1, [0, 1 << 62, 4, 2], b"")),
    "row45-negative": rnn(onnx_tensor("W", 1, [1, 2**64 - 1, 2], b"")),
    "row45-data-type": rnn(onnx_tensor("W", 17, [1, 2, 2], field(9, bytes(4)))),
    "row45-external": rnn(onnx_tensor("W", 1, [1, 2, 2], number(14, 1))),
    "row45-axes": rnn(onnx_tensor("W", 1, [1] * 65, field(9, bytes(4)))),
    "row45-double": rnn(WEIGHT, WEIGHT),
    "row45-opset": of_graph(b"", 1),
    "row45-no-opset": number(1, 8) + field(7, ""),
    "row45-no-graph": number(1, 8) + field(8, number(2, 20)),
    "row45-attribute-past": of_graph(field(1, "") + field(1, field(3, "n") + past(5))),
    "row45-tensor-past": of_graph(field(5, field(8, "w") + past(9))),
    "row45-truncated-varint": of_graph(field(1, field(3, "n") + field(5, field(1, "a") + b"\x18\xff"))),
    "row45-long-varint": of_graph(field(1, b"\x18" + b"\xff" * 11)),
    "row45-wire-type": of_graph(field(1, b"\x0b")),
    "row45-no-utf8": of_graph(field(1, field(4, b"\xff"))),
    "row45-control": of_graph(field(1, field(3, "\x1b[2J\x07")) * 2),
    "row45-deep": of_graph(deep(200) + field(1, node("If", "if", "x", "y"))),
    "row45-lstm": rnn(WEIGHT, nodes=[node("LSTM", "lstm", "x W R", "y")]),
}
NUMBERS = {"F32": (1, field(4, struct.pack("<f", 1))), "I64": (7, number(7, 1)), "I32": (6, number(5, 1)),
           "F64": (11, field(10, struct.pack("<d", 1))), "F16": (10, number(5, 0x3C00)), "BF16": (16, number(5, 0x3F80)),
           "Bool": (9, number(5, 1)), "I8": (3, number(5, 255))}
for name, (kind, numbers) in NUMBERS.items():
    ONNX[f"type-{name}"] = graph([node("RNN", "rnn", "x W W", "y")], [onnx_tensor("W", kind, [1, 1, 1], numbers)])


# The others

TABLES = {
    "plain": b"1,2\n3,4.5\n",
    "names": b"a,b\n1,2\n",
    "tabs": b"a\tb\n1\t-2e-3\n\n",
    "semicolons": b"1;2\r\n3;4\r\n",
    "quotes": b'"a, b","c ""d"""\n"1",2\n',
    "mark": b"\xef\xbb\xbf1,2\n",
    "special": b"nan,inf,-inf,-0\n1e400,1e-400,0.1,16777217\n",
    "halfway": b"1.000000059604644775390626\n1.00000005960464477539062\n",
    "row04-blank": b"\n\n",
    "row06-text": b"1.0,2.0\n3.0,4.0 m\n",
    "row06-ragged": b"1,2\n3\n",
    "row06-names-only": b"a,b\n",
    "row06-decimal-comma": b"1,5;2,5\n",
    "row06-missing": b"1,\n,2\n",
}

WORDS = [
    "", "--version", "--help", "help", "run", "run --help", "run -w w.npz -i x.npy -o out.npy --h-n h_n.npy",
    "run --weights w.pt --input x.npy --dtype f64 --threads 2 --kernel avx2 --report json",
    "run --hidden 0", "run --hidden -1", "run --hidden 1e3", "run --hidden 1099511627776", "run --layers 1000000000",
    "run --batch-first=false --bidirectional --nonlinearity relu --dropout 0.5 --train --seed -1",
    "init --input-size 3 --hidden 4 -o w --seed random -q", "init --dropout 2", "init --rng state.npy --no-bias",
    "convert w.pt w.onnx --prefix encoder", "randn 2 3 4 -o x.npy --dtype f32", "info x.npy w.npz --json",
    "info --check-finite x.npy", "pack a.npy b.npy -o p.npz --sorted", "unpack p.npz --padding-value nan",
    "diff a.npy b.npy --rtol 1e-3 --atol -1", "bench --input-size 8 --hidden 16 --seconds 1",
    "stream -w w.npz --frames --save-every 5", "completions bash", "man run", "python", "-- -x", "run \xff",
]

NAMED = {
    "npy_header": HEADERS, "npy_stream": HEADERS | STREAMS, "npz": ARCHIVES, "safetensors_weights": SAFETENSORS,
    "pt": PT, "onnx": ONNX, "table": TABLES,
    "cli_args": {f"words-{at:02}": line.encode("latin-1").replace(b" ", b"\0") for at, line in enumerate(WORDS)},
    # Kinds and sizes in the first two bytes, then bits of the numbers.
    "roundtrip": {f"shape-{kind}-{sizes}": bytes([kind, sizes]) + b"\0\0\xc0\x7f\x01\0\x80\xff\0\0\x80\x3f"
                  for kind in range(8) for sizes in (0, 0b111001, 0b011111, 0b100110)},
    # Flags, layers, sizes, seed, and bits of the first numbers.
    "forward": {f"layer-{flags}": bytes([flags, flags, flags * 7 % 256, flags * 13 % 256, flags * 3, flags * 5 % 256, 1])
                + b"\0\0\x80\x3f\0\0\0\0\0\0\xc0\x7f\0\0\x80\x7f" * (flags % 2) for flags in range(64)},
}
FILES = {
    "npz": ["checkpoints/rnn.npz", "onnx/test_simple_rnn_defaults.npz", "sine/rnn.npz"],
    "safetensors_weights": ["checkpoints/rnn.safetensors", "sine/rnn.safetensors"],
    "pt": [f"checkpoints/{name}.pt" for name in ("bf16", "empty", "f16", "gru", "legacy", "lightning", "lstm",
                                                 "model", "module", "modules", "nested", "rnn", "script", "sparse",
                                                 "tar", "tensor")] + ["sine/module.pt"],
    "onnx": [str(path.relative_to(FIXTURES)) for path in sorted(FIXTURES.glob("onnx/*.onnx"))] + ["sine/rnn.onnx"],
    "table": ["sine/x.csv"],
    "npy_header": ["sine/x.npy"],
}

# The place of the bytes and the flags, in two bytes, before seeds of the other targets.
SAVED = b'{"hidden_size":1,"input_size":1,"model":{"version":1,"encoder":"one-hot","vocabulary":{"tokens":"char",' \
        b'"unknown":"a","names":["a"]},"head":["fc","relu"],"pool":"state","function":{"top":1},"labels":["x","y"]}}'
INDEX = b'{"metadata":{"total_size":8},"weight_map":{"weight_hh_l0":"part.safetensors","a":"b"}}'
WHOLE = {"npy_header", "npz", "safetensors_weights", "pt", "onnx", "table"}
NAMED["info"] = {
    **{f"{target}-{name}": bytes([0, at % 64]) + data
       for target in sorted(WHOLE) for at, (name, data) in enumerate(NAMED[target].items())},
    "member": b"\1\2" + archive([("weight_ih_l0.npy", X)]), "folder": b"\2\2" + X,
    "model": b"\3\1" + SAFETENSORS["layer"], "rnn.json": b"\4\0" + SAVED, "rnn.json-as-json": b"\4\1" + SAVED,
    "index": b"\5\0" + INDEX, "index-of-one": b"\5\1" + INDEX.replace(b',"a":"b"', b""),
}

for target, seeds in NAMED.items():
    for name, data in seeds.items():
        save(target, name, data)
for target, names in FILES.items():
    for name in names:
        data = (FIXTURES / name).read_bytes()
        save(target, name.replace("/", "-"), data)
        if target in WHOLE:
            save("info", name.replace("/", "-"), b"\0\2" + data)
