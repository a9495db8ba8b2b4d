//! The names of the parameters of an unrolled layer.

use crate::checkpoint::names::{layered, split};
use crate::files::proto::NodeProto;
use crate::is_parameter_name;

/// The modules and the parameter of a name such as `encoder.rnn.weight_ih_l0`, without `weight_`. The names of an
/// `RNNCell` have no layer.
pub(super) fn parameter(name: &str) -> Option<(String, String)> {
    let (module, own) = split(name);
    let own = layered(own);
    let (_, parameter) = own.split_once('_').filter(|_| is_parameter_name(&own))?;
    Some((module.to_owned(), parameter.to_owned()))
}

/// The same by the exporter's text beside a node: the parameters in the arguments of a linear function, and the
/// modules around it.
pub(super) fn beside(node: &NodeProto) -> Option<(String, String)> {
    let text = node.metadata("pkg.torch.onnx.fx_node")?;
    let (_, arguments) = text.split_once("linear.default](args = (")?;
    let weight = arguments.split([',', ')']).nth(1)?.trim();
    let start = weight.rfind("weight_ih_l").or_else(|| weight.rfind("weight_hh_l"))?;
    let (_, own) = parameter(&weight[start..])?;
    let scopes = node.metadata("pkg.torch.onnx.name_scopes")?;
    let mut scopes: Vec<_> = scopes.trim_matches(['[', ']']).split(", ").collect();
    scopes.pop();
    let module = scopes.last()?.trim_matches(['\'', '"', '\\']);
    let dot = if module.is_empty() { "" } else { "." };
    Some((format!("{module}{dot}"), own))
}
