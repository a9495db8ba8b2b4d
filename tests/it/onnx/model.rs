//! Models built byte by byte, including malicious ones.

/// An integer as protobuf writes it.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field with a length.
pub(crate) fn field(number: u64, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    [varint(number << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// A field with an integer.
pub(crate) fn integer(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

/// Concatenated fields.
pub(crate) fn fields(fields: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    fields.into_iter().flatten().collect()
}

/// Numbers as `raw_data` holds them.
pub(crate) fn raw(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A tensor of these sizes, with other fields that hold its numbers.
pub(crate) fn tensor(name: &str, data_type: u64, sizes: &[u64], numbers: Vec<u8>) -> Vec<u8> {
    let sizes = fields(sizes.iter().map(|&size| integer(1, size)));
    fields([sizes, integer(2, data_type), field(8, name), numbers])
}

/// A tensor of floats that are all the same.
pub(crate) fn floats(name: &str, sizes: &[u64], value: f32) -> Vec<u8> {
    let count = usize::try_from(sizes.iter().product::<u64>()).unwrap();
    tensor(name, 1, sizes, field(9, raw(&vec![value; count])))
}

/// An attribute with one text.
pub(crate) fn text(name: &str, value: &str) -> Vec<u8> {
    fields([field(1, name), field(4, value), integer(20, 3)])
}

/// An attribute with texts.
pub(crate) fn texts(name: &str, values: &[&str]) -> Vec<u8> {
    let values = fields(values.iter().map(|value| field(9, value)));
    fields([field(1, name), values, integer(20, 8)])
}

/// An attribute with one integer.
pub(super) fn number(name: &str, value: u64) -> Vec<u8> {
    fields([field(1, name), integer(3, value), integer(20, 2)])
}

/// An attribute with integers, which may be below zero.
pub(crate) fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let values = fields(values.iter().map(|&value| integer(8, value.cast_unsigned())));
    fields([field(1, name), values, integer(20, 7)])
}

/// An attribute with a tensor.
pub(crate) fn constant(name: &str, tensor: &[u8]) -> Vec<u8> {
    fields([field(1, name), field(5, tensor), integer(20, 4)])
}

/// A node. Names of inputs and outputs are separated by blanks; `_` is none.
pub(crate) fn node(
    op_type: &str,
    name: &str,
    inputs: &str,
    outputs: &str,
    attributes: &[Vec<u8>],
) -> Vec<u8> {
    let names = |number: u64, names: &str| {
        let name = |name: &str| field(number, if name == "_" { "" } else { name });
        fields(names.split_whitespace().map(name))
    };
    let attributes = fields(attributes.iter().map(|attribute| field(5, attribute)));
    fields([names(1, inputs), names(2, outputs), field(3, name), field(4, op_type), attributes])
}

/// The model of a graph that has the input `x`.
pub(crate) fn model(nodes: &[Vec<u8>], tensors: &[Vec<u8>]) -> Vec<u8> {
    let nodes = fields(nodes.iter().map(|node| field(1, node)));
    let tensors = fields(tensors.iter().map(|tensor| field(5, tensor)));
    let inputs = fields(["x", "h"].map(|name| field(11, field(1, name))));
    of_graph(&fields([nodes, tensors, inputs]), 20)
}

/// The model of a graph.
pub(crate) fn of_graph(graph: &[u8], opset: u64) -> Vec<u8> {
    fields([integer(1, 8), field(8, integer(2, opset)), field(7, graph)])
}
