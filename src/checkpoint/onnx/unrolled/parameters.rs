//! The parameters of unrolled layers, from the products of their steps.

use std::collections::HashMap;

use super::{Linear, Links, REMEDY};
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::onnx::cell::Weight;
use crate::element::Dtype;
use crate::files::{StoredType, Tensor};

/// The type in the file and the numbers of a parameter, by its name.
pub(super) type Parameters = Vec<(String, (StoredType, Tensor))>;

impl<'a> Links<'a> {
    /// The parameters of all layers; `None` if there are none. The products of all steps must agree.
    pub(super) fn parameters(
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
}
