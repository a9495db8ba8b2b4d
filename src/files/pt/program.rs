//! The graph in an archive of `torch.export`: arguments that the weights do not have.

use std::collections::HashMap;

use serde::Deserialize;

use crate::files::{AttributeValue, ModuleAttribute, escaped};

#[derive(Deserialize)]
struct Program {
    graph_module: GraphModule,
}

#[derive(Deserialize)]
struct GraphModule {
    graph: Graph,
    signature: Signature,
}

#[derive(Deserialize)]
struct Graph {
    nodes: Vec<Node>,
}

/// A call of a function, such as `torch.ops.aten.rnn_relu.input`.
#[derive(Deserialize)]
struct Node {
    target: String,
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    arg: Arg,
}

/// A value of one of these types, or of another.
#[derive(Deserialize)]
struct Arg {
    #[serde(rename = "as_tensor")]
    tensor: Option<Named>,
    #[serde(rename = "as_tensors")]
    tensors: Option<Vec<Named>>,
    #[serde(rename = "as_bool")]
    truth: Option<bool>,
    #[serde(rename = "as_float")]
    float: Option<f64>,
}

#[derive(Deserialize)]
struct Signature {
    input_specs: Vec<Spec>,
}

/// An input of the graph. Only parameters are read.
#[derive(Deserialize)]
struct Spec {
    parameter: Option<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    arg: Named,
    parameter_name: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// The arguments of the calls that compute a layer, under the names of the attributes of its module. A graph of an
/// unknown form has none.
pub(super) fn arguments(program: &[u8]) -> Vec<ModuleAttribute> {
    let Ok(Program { graph_module }) = serde_json::from_slice(program) else { return Vec::new() };
    let specs = graph_module.signature.input_specs.into_iter();
    let parameters = specs.filter_map(|spec| spec.parameter);
    let names: HashMap<_, _> = parameters.map(|own| (own.arg.name, own.parameter_name)).collect();
    let nodes = graph_module.graph.nodes.iter();
    nodes.filter_map(|node| of_node(node, &names)).flatten().collect()
}

/// The arguments of one call; `None` if it computes no layer.
fn of_node(node: &Node, names: &HashMap<String, String>) -> Option<Vec<ModuleAttribute>> {
    let function = node.target.strip_prefix("torch.ops.aten.")?;
    let mode = ["rnn_tanh", "rnn_relu"].into_iter().find(|mode| function.starts_with(mode))?;
    let args = node.inputs.iter().map(|input| &input.arg);
    let mut tensors = args.flat_map(|arg| arg.tensors.iter().flatten().chain(&arg.tensor));
    let parameter = tensors.find_map(|tensor| names.get(&tensor.name))?;
    let module = escaped(parameter.rsplit_once('.').map_or("", |(module, _)| module));
    let mut found = vec![("mode", AttributeValue::Text(mode.to_uppercase()))];
    for Input { name, arg } in &node.inputs {
        match (name.as_str(), arg) {
            ("batch_first", Arg { truth: Some(first), .. }) => {
                found.push(("batch_first", AttributeValue::Bool(*first)));
            }
            ("dropout", Arg { float: Some(p), .. }) => {
                found.push(("dropout", AttributeValue::Float(*p)));
            }
            _ => {}
        }
    }
    let attribute = |(name, value): (&str, _)| {
        let (module, name) = (module.clone(), name.to_owned());
        ModuleAttribute { module, name, value }
    };
    Some(found.into_iter().map(attribute).collect())
}
