//! Layers that PyTorch's default exporter has unrolled: a product with `weight_ih` for all steps, and for each step
//! one with `weight_hh`, an addition and a Tanh or Relu.
//!
//! The products are found by their constants. The name of a parameter is that of an initializer, which is kept
//! except for transposed weights, or stands in the text that the exporter leaves beside the node.

use std::collections::{HashMap, HashSet};

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::{Checkpoint, NamedTensor, common_dtype, names};
use crate::element::Dtype;
use crate::files::proto::{Attribute, NodeProto};
use crate::files::{Entry, Graph, MAX_LISTED, StoredType, Tensor, listed};
use crate::{Config, Nonlinearity, is_parameter_name};

use super::cell::Weight;
use super::constant::Constants;
use super::trace::Trace;
use super::{Reader, wide};

/// What to do about a layer that cannot be recovered.
pub(super) const REMEDY: &str = " (PyTorch's default exporter unrolls the layer: torch.onnx.export(..., \
                                 dynamo=False) keeps it, and torch.save(model.state_dict(), 'model.pt') its weights)";

/// Most nodes between a tensor and a product: exporters write two.
const MAX_MOVES: usize = 8;

/// A product with a constant, and its bias.
struct Linear<'a> {
    /// The names of its modules, with a dot at their end.
    module: String,
    /// `ih_l0` or the like.
    parameter: String,
    x: &'a str,
    /// The name of the factor and whether it is the transposed weight.
    weight: (&'a str, bool),
    bias: Option<&'a str>,
    output: &'a str,
}

/// The nodes of a graph by the values that they read and write.
struct Links<'a> {
    reader: Reader<'a>,
    readers: HashMap<&'a str, Vec<&'a NodeProto>>,
    makers: HashMap<&'a str, &'a NodeProto>,
}

/// Whether a graph without an RNN node has what an unrolled layer has.
pub(super) fn is_likely(graph: &Graph) -> bool {
    let has =
        |types: [&str; 2]| graph.proto.node.iter().any(|node| types.contains(&&*node.op_type));
    has(["MatMul", "Gemm"]) && has(["Tanh", "Relu"])
}

/// The requested layer, or the only one; `None` if the graph has no products with weights of a layer.
pub(super) fn read<'a>(
    graph: &'a Graph,
    trace: Trace<'a>,
    dtype: Option<Dtype>,
    prefix: Option<&str>,
) -> Result<Option<Checkpoint>, CheckpointError> {
    if !is_likely(graph) {
        return Ok(None);
    }
    let links = Links::new(graph, trace)?;
    let products =
        graph.proto.node.iter().filter(|node| matches!(&*node.op_type, "MatMul" | "Gemm"));
    let linears: Vec<_> = products.filter_map(|node| links.linear(node)).collect();
    let Some(parameters) = links.parameters(&linears, dtype)? else { return Ok(None) };
    let entries: Vec<_> = parameters
        .iter()
        .map(|(name, (stored, tensor))| Entry {
            name: name.clone(),
            stored: *stored,
            shape: tensor.shape().to_vec(),
        })
        .collect();
    let unlikely = |error: CheckpointError| match error {
        error @ (CheckpointError::ManyLayers { .. } | CheckpointError::NoLayer { .. }) => error,
        error => CheckpointError::NoRnn(format!("{error}{REMEDY}")),
    };
    let found = names::find(&entries, prefix)?;
    let shapes = found.members.iter().map(|(index, name)| (name.as_str(), &*entries[*index].shape));
    let inferred = Config::infer(shapes).map_err(|error| unlikely(error.into()))?;
    let own: Vec<_> = linears.iter().filter(|linear| linear.module == found.prefix).collect();
    let nonlinearity = links.nonlinearity(&own).map_err(unlikely)?;
    let batch_first = own.iter().find(|linear| linear.parameter == "ih_l0");
    let batch_first = batch_first.and_then(|linear| links.reader.trace.is_swapped(linear.x));
    let config = Config {
        nonlinearity: nonlinearity.unwrap_or(Nonlinearity::Tanh),
        batch_first: batch_first.unwrap_or(false),
        ..inferred
    };
    let tensors: Vec<_> = found
        .members
        .iter()
        .map(|(index, name)| {
            let (stored, tensor) = parameters[*index].1.clone();
            NamedTensor { name: name.clone(), stored, tensor }
        })
        .collect();
    let names: HashSet<_> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    if let Some(missing) = config.parameters().find(|own| !names.contains(&own.name)) {
        let what = format!("expected {}{}, got no node that reads it", found.prefix, missing.name);
        return Err(unlikely(CheckpointError::NoRnn(what)));
    }
    links.refuse_folded_state(&own, &tensors).map_err(unlikely)?;
    let explicit =
        [("nonlinearity", nonlinearity.is_some()), ("batch_first", batch_first.is_some())];
    let explicit = explicit.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned());
    let all = names_of(&config);
    let note = format!(
        "PyTorch's exporter has unrolled the layer; {all} are recovered from the nodes that read them, \
        and only the layer is run"
    );
    Ok(Some(Checkpoint {
        place: graph.place.clone(),
        recognised: format!("an unrolled RNN of {} products", own.len()),
        dtype: common_dtype(&config, &tensors)?,
        explicit: explicit.collect(),
        config,
        reversed: false,
        h_0: None,
        lengths: None,
        ignored: entries.len() - found.members.len(),
        ignored_optimizer: 0,
        prefix: found.prefix,
        modules: links.others(),
        notes: vec![note],
        warnings: Vec::new(),
        tensors,
    }))
}

fn names_of(config: &Config) -> String {
    listed(config.parameters().map(|own| own.name), MAX_LISTED)
}

/// The type in the file and the numbers of a parameter, by its name.
type Parameters = Vec<(String, (StoredType, Tensor))>;

impl<'a> Links<'a> {
    fn new(graph: &'a Graph, trace: Trace<'a>) -> Result<Self, CheckpointError> {
        let (mut readers, mut makers) = (HashMap::<_, Vec<_>>::new(), HashMap::new());
        for node in graph.proto.node.iter().filter(|node| node.is_standard()) {
            makers.extend(node.output.iter().map(|name| (name.as_str(), node)));
            for name in &node.input {
                readers.entry(name.as_str()).or_default().push(node);
            }
        }
        // Factors, summands and first states.
        let arithmetic = |node: &&NodeProto| matches!(&*node.op_type, "MatMul" | "Gemm" | "Add");
        let wanted = graph.proto.node.iter().filter(arithmetic).flat_map(|node| &node.input);
        let constants = Constants::new(graph, wanted.map(String::as_str))?;
        Ok(Links { reader: Reader { graph, trace, constants }, readers, makers })
    }

    /// The products that are not those of a layer, as those of a linear layer are.
    fn others(&self) -> Vec<String> {
        let nodes = self.reader.graph.proto.node.iter();
        let products = nodes.filter(|node| matches!(&*node.op_type, "MatMul" | "Gemm"));
        let others = products.filter(|node| self.linear(node).is_none());
        others.map(|node| format!("{} '{}'", node.op_type, node.label())).collect()
    }

    fn readers(&self, name: &str) -> &[&'a NodeProto] {
        self.readers.get(name).map_or(&[], Vec::as_slice)
    }

    /// A product as `x W^T`, or as `x W^T + b`; `None` if it is another, or if its parameters have no names.
    fn linear(&self, node: &'a NodeProto) -> Option<Linear<'a>> {
        let (x, factor, product) = (node.input(0)?, node.input(1)?, node.output(0)?);
        self.reader.constant(factor)?;
        let is = |name: &str, value| node.attribute(name) == Some(Attribute::Int(value));
        let is_gemm = node.op_type == "Gemm";
        if is("transA", 1) || (node.factor("alpha") - 1.0).abs() > 0.0 {
            return None;
        }
        let (mut output, mut bias, mut last) = (product, None, node);
        if is_gemm {
            bias = node.input(2);
            if bias.is_some() && (node.factor("beta") - 1.0).abs() > 0.0 {
                return None;
            }
        } else if let [add] = self.readers(product)
            && add.op_type == "Add"
            && let Some(other) = add.input.iter().find(|name| *name != product)
            && self.is_bias(other)
        {
            (output, bias, last) = (add.output(0)?, Some(other.as_str()), add);
        }
        let transposed = !(is_gemm && is("transB", 1));
        let names = [Some(self.tensor_of(factor)), bias.map(|bias| self.tensor_of(bias))];
        let mut named: Vec<_> = names.into_iter().flatten().filter_map(parameter).collect();
        let beside = beside(last).or_else(|| beside(node));
        if let Some((module, own)) = beside {
            // The optimizer of the exporter replaces equal initializers by one of them.
            named.retain(|(_, name)| *name == own);
            named.push((module, own));
        }
        let (module, own) = named.first()?.clone();
        let same = named.iter().all(|(_, name)| *name == own);
        same.then_some(Linear {
            module,
            parameter: own,
            x,
            weight: (factor, transposed),
            bias,
            output,
        })
    }

    /// Whether a value is a constant with one axis.
    fn is_bias(&self, name: &str) -> bool {
        let header = self.reader.constant(name).map(|constant| constant.header());
        header.is_some_and(|header| header.is_ok_and(|(_, shape)| shape.len() == 1))
    }

    /// The tensor before nodes that only move it.
    fn tensor_of(&self, name: &'a str) -> &'a str {
        // The nodes of a hostile graph may form a cycle.
        (0..MAX_MOVES).fold(name, |name, _| match self.makers.get(name) {
            Some(node) if matches!(&*node.op_type, "Identity" | "Transpose" | "Cast") => {
                node.input(0).unwrap_or(name)
            }
            _ => name,
        })
    }

    /// The parameters of all layers; `None` if there are none. The products of all steps must agree.
    fn parameters(
        &self,
        linears: &[Linear<'a>],
        dtype: Option<Dtype>,
    ) -> Result<Option<Parameters>, CheckpointError> {
        let mut parameters = Parameters::new();
        let mut places = HashMap::new();
        for linear in linears {
            let (factor, transposed) = linear.weight;
            let weight =
                (format!("{}weight_{}", linear.module, linear.parameter), factor, transposed);
            let bias = linear
                .bias
                .map(|bias| (format!("{}bias_{}", linear.module, linear.parameter), bias, false));
            for (name, value, transposed) in [Some(weight), bias].into_iter().flatten() {
                let source = (self.tensor_of(value), value);
                let place = places.get(&name).copied();
                if place.is_some_and(|(_, known)| known == source) {
                    continue;
                }
                let Some(constant) = self.reader.constant(value) else { continue };
                let read = (constant.header()?.0, self.oriented(&constant, transposed, dtype)?);
                match place {
                    None => {
                        places.insert(name.clone(), (parameters.len(), source));
                        parameters.push((name, read));
                    }
                    Some((index, _)) if parameters[index].1 == read => {}
                    Some(_) => {
                        let what = format!(
                            "{name}: expected the same numbers in all steps, got others in '{value}'"
                        );
                        return Err(CheckpointError::NoRnn(format!("{what}{REMEDY}")));
                    }
                }
            }
        }
        Ok((!parameters.is_empty()).then_some(parameters))
    }

    fn oriented(
        &self,
        constant: &Weight<'_>,
        transposed: bool,
        dtype: Option<Dtype>,
    ) -> Result<Tensor, CheckpointError> {
        let tensor = constant.read(self.reader.graph, dtype)?;
        Ok(match tensor {
            _ if !transposed => tensor,
            Tensor::F32(array) => {
                Tensor::F32(array.reversed_axes().as_standard_layout().into_owned())
            }
            Tensor::F64(array) => {
                Tensor::F64(array.reversed_axes().as_standard_layout().into_owned())
            }
        })
    }

    /// The function that follows the additions of a layer's steps; `None` if it cannot be told.
    fn nonlinearity(&self, own: &[&Linear<'a>]) -> Result<Option<Nonlinearity>, CheckpointError> {
        let mut found = HashSet::new();
        for linear in own.iter().filter(|linear| linear.parameter.starts_with("hh")) {
            let sums = self.readers(linear.output).iter().filter(|node| node.op_type == "Add");
            let after = sums.filter_map(|sum| sum.output(0)).flat_map(|sum| self.readers(sum));
            found.extend(after.map(|node| node.op_type.as_str()));
        }
        match found.into_iter().collect::<Vec<_>>()[..] {
            [] => Ok(None),
            ["Tanh"] => Ok(Some(Nonlinearity::Tanh)),
            ["Relu"] => Ok(Some(Nonlinearity::Relu)),
            ref others => {
                let others = listed(others, MAX_LISTED);
                let what = format!("expected Tanh or Relu after each step, got {others}");
                Err(CheckpointError::NoRnn(what))
            }
        }
    }

    /// Rejects first states other than zeros that the exporter has multiplied already: the summand of a first step
    /// that no node computes is `bias_hh` if the state is zeros.
    fn refuse_folded_state(
        &self,
        own: &[&Linear<'a>],
        tensors: &[NamedTensor],
    ) -> Result<(), CheckpointError> {
        for linear in own.iter().filter(|linear| linear.parameter.starts_with("hh")) {
            let state = self.reader.constant(linear.x);
            let state = state.map(|state| state.read(self.reader.graph, None)).transpose()?;
            if state.is_some_and(|state| wide(state).iter().any(|&x| x != 0.0)) {
                let got = "numbers of the model";
                let what = format!("h_0: expected zeros or an input, got {got} in '{}'", linear.x);
                return Err(CheckpointError::NoRnn(what));
            }
        }
        for linear in own.iter().filter(|linear| linear.parameter.starts_with("ih")) {
            let name = linear.parameter.replacen("ih", "bias_hh", 1);
            let bias = tensors.iter().find(|tensor| tensor.name == name);
            let bias = bias.map(|bias| wide(bias.tensor.clone()).into_iter().collect::<Vec<_>>());
            for summand in self.first_summands(linear.output) {
                let Some(constant) = self.reader.constant(summand) else { continue };
                let numbers = wide(constant.read(self.reader.graph, None)?);
                let width = numbers.shape().last().copied().unwrap_or(1).max(1);
                let numbers: Vec<_> = numbers.into_iter().collect();
                let is_bias = |row: &[f64]| match &bias {
                    Some(bias) => row == bias.as_slice(),
                    None => row.iter().all(|&x| x == 0.0),
                };
                if !numbers.chunks(width).all(is_bias) {
                    let what = format!(
                        "h_0: expected zeros or an input, got a product with other numbers in '{summand}'"
                    );
                    return Err(CheckpointError::NoRnn(what));
                }
            }
        }
        Ok(())
    }

    /// The values that are added to the steps of a product.
    fn first_summands(&self, product: &'a str) -> Vec<&'a str> {
        let (mut open, mut seen, mut summands) = (vec![product], HashSet::new(), Vec::new());
        while let Some(name) = open.pop() {
            for node in self.readers(name) {
                let moves =
                    super::trace::is_move(node) || matches!(&*node.op_type, "Split" | "Gather");
                if node.op_type == "Add" {
                    summands
                        .extend(node.input.iter().map(String::as_str).filter(|own| *own != name));
                } else if moves && node.input(0) == Some(name) {
                    let outputs = node.output.iter().map(String::as_str);
                    open.extend(outputs.filter(|output| seen.insert(*output)));
                }
            }
        }
        summands
    }
}

/// The modules and the parameter of a name such as `encoder.rnn.weight_ih_l0`, without `weight_`. The names of an
/// `RNNCell` have no layer.
fn parameter(name: &str) -> Option<(String, String)> {
    let (module, own) = name.split_at(name.rfind('.').map_or(0, |dot| dot + 1));
    let own = match own {
        "weight_ih" | "weight_hh" | "bias_ih" | "bias_hh" => format!("{own}_l0"),
        own => own.to_owned(),
    };
    let (_, parameter) = own.split_once('_').filter(|_| is_parameter_name(&own))?;
    Some((module.to_owned(), parameter.to_owned()))
}

/// The same by the exporter's text beside a node: the parameters in the arguments of a linear function, and the
/// modules around it.
fn beside(node: &NodeProto) -> Option<(String, String)> {
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
