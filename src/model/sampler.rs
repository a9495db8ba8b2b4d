//! The choice of the next token.

use super::function::{argmax, largest};
use crate::Generator;
use crate::element::Element;
use crate::element::elementary::{Double, exp};
use crate::error::Error;
use crate::memory::reserved;

/// The memory for candidates, in an out-of-memory error.
const CANDIDATES: &str = "candidates";

/// Chooses tokens by the values that a model gives to all of them.
///
/// ```
/// use elman::{Generator, Sampler};
///
/// let mut generator = Generator::new(1);
/// let values = [0.5_f32, 2.0, -1.0, 2.0];
/// // Temperature 0: the largest value, the lowest id on ties.
/// assert_eq!(Sampler::new(0.0, None, 4)?.choose(&values, &mut generator)?, 1);
/// // The two largest values are equally likely.
/// let mut sampler = Sampler::new(0.8, Some(2), 4)?;
/// let mut counts = [0; 4];
/// for _ in 0..1000 {
///     counts[sampler.choose(&values, &mut generator)?] += 1;
/// }
/// assert_eq!(counts, [0, 487, 0, 513]);
/// # Ok::<_, elman::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    temperature: f64,
    /// Candidates among C tokens; `None` for all of them.
    top: Option<usize>,
    /// The candidates in ascending order.
    ids: Vec<usize>,
    /// The sums of the weights up to each candidate.
    cumulative: Vec<f64>,
}

impl Sampler {
    /// Choices among `classes` tokens: softmax of the values divided by the temperature, over the `top` largest values
    /// or all of them; at temperature 0 the largest value. Its memory is allocated here.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a temperature that is negative or not finite, and for more candidates than tokens;
    /// [`Error::OutOfMemory`].
    pub fn new(temperature: f64, top: Option<usize>, classes: usize) -> Result<Self, Error> {
        if !(temperature.is_finite() && temperature >= 0.0) {
            let what = format!("expected a finite number of at least 0, got {temperature}");
            return Err(Error::invalid("temperature", what));
        }
        if let Some(k) = top.filter(|k| !(1..=classes).contains(k)) {
            let what = format!("expected from 1 to {classes}, the number of tokens, got {k}");
            return Err(Error::invalid("top", what));
        }
        let top = top.filter(|&k| k < classes);
        let mut ids = reserved(classes, CANDIDATES)?;
        ids.extend(0..classes);
        Ok(Sampler { temperature, top, ids, cumulative: reserved(classes, CANDIDATES)? })
    }

    /// Chooses by `values`, (C). It takes one f64 of the generator, as `torch.rand((), dtype=torch.float64)` does, or
    /// none at temperature 0. With u that number, x the values, m their largest and T the temperature, the result is
    /// the first candidate in ascending order whose sum exceeds u times the sum of all:
    ///
    /// ```text
    /// sum_i = e^((x_0 - m)/T) + ... + e^((x_i - m)/T)
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] if a value is NaN, or the largest is infinite.
    pub fn choose<T: Element>(
        &mut self,
        values: &[T],
        generator: &mut Generator,
    ) -> Result<usize, Error> {
        let best = argmax(values);
        let m: f64 = values[best].into();
        if !m.is_finite() {
            let what = format!("expected finite values of the next token, got {m} for id {best}");
            return Err(Error::invalid("output", what));
        }
        if self.temperature == 0.0 {
            return Ok(best);
        }
        if let Some(k) = self.top {
            largest(values, k, &mut self.ids);
            self.ids.sort_unstable();
        }
        let (mut sum, temperature) = (0.0, self.temperature);
        self.cumulative.clear();
        self.cumulative.extend(self.ids.iter().map(|&id| {
            sum += exp(Double::from((values[id].into() - m) / temperature));
            sum
        }));
        let mut u = [0.0_f64];
        generator.uniform(0.0, 1.0, &mut u);
        let threshold = u[0] * sum;
        let place = match self.cumulative.partition_point(|&sum| sum <= threshold) {
            // The product was rounded to the sum of all: the last candidate that adds to it.
            all if all == self.ids.len() => self.cumulative.partition_point(|&own| own < sum),
            place => place,
        };
        Ok(self.ids[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The choice by the definition, with the numbers of a generator in the same state.
    fn naive(values: &[f64], temperature: f64, top: usize, generator: &mut Generator) -> usize {
        let mut ids: Vec<_> = (0..values.len()).collect();
        ids.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
        ids.truncate(top);
        ids.sort_unstable();
        let weight = |id: &usize| (values[*id] / temperature).exp();
        let all: f64 = ids.iter().map(weight).sum();
        let mut u = [0.0_f64];
        generator.uniform(0.0, 1.0, &mut u);
        let mut sum = 0.0;
        let beyond = ids.iter().find(|id| {
            sum += weight(id);
            sum > u[0] * all
        });
        *beyond.unwrap()
    }

    #[test]
    fn choices_follow_the_definition() {
        let mut source = Generator::new(9);
        for (classes, temperature, top) in [
            (2, 1.0, None),
            (7, 0.3, Some(3)),
            (50, 2.0, Some(50)),
            (50, 0.8, Some(40)),
            (1, 1.0, None),
        ] {
            let (mut one, mut other) = (Generator::new(5), Generator::new(5));
            let mut sampler = Sampler::new(temperature, top, classes).unwrap();
            for _ in 0..500 {
                let mut values = vec![0.0_f64; classes];
                source.normal(&mut values);
                // Ties: the lowest ids are candidates.
                for x in &mut values {
                    *x = (*x * 2.0).round() + 0.0;
                }
                let found = sampler.choose(&values, &mut one).unwrap();
                let expected = naive(&values, temperature, top.unwrap_or(classes), &mut other);
                assert_eq!(found, expected, "{values:?}");
            }
            assert_eq!(one, other);
        }
    }

    #[test]
    fn extreme_values_have_their_limits() {
        let mut generator = Generator::new(0);
        for (values, temperature, expected) in [
            ([-1e300, 0.0, f64::NEG_INFINITY], 1.0, 1),
            ([1.0, 1.0 + 1e-12, 0.0], 1e-300, 1),
            ([f64::MIN, f64::MAX, 0.0], 1e-3, 1),
        ] {
            let mut sampler = Sampler::new(temperature, None, 3).unwrap();
            for _ in 0..100 {
                assert_eq!(sampler.choose(&values, &mut generator).unwrap(), expected);
            }
        }
        for value in [f64::NAN, f64::INFINITY] {
            for temperature in [0.0, 1.0] {
                let mut sampler = Sampler::new(temperature, None, 2).unwrap();
                assert!(sampler.choose(&[0.0, value], &mut generator).is_err());
            }
        }
        let mut sampler = Sampler::new(1.0, None, 1).unwrap();
        assert!(sampler.choose(&[f64::NEG_INFINITY], &mut generator).is_err());
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for (temperature, top) in
            [(-1.0, None), (f64::NAN, None), (f64::INFINITY, None), (1.0, Some(0)), (1.0, Some(4))]
        {
            assert!(Sampler::new(temperature, top, 3).is_err(), "{temperature} {top:?}");
        }
    }
}
