//! The layers over the steps, as a drawing of characters.

use super::{Moment, Recurrence};

/// Most steps, and most layers, that are drawn.
const MAX_SHOWN: usize = 5;
/// Least columns of a name of a first state, columns of the arrow behind it, and from one step to the next.
const NAME: usize = 14;
const ARROW: usize = 4;
const STRIDE: usize = 10;

impl Recurrence<'_> {
    /// The unrolled layer, with this step between stars.
    pub(super) fn diagram(&self) -> Vec<String> {
        let Moment { step, layer, .. } = self.moment;
        let (steps, layers) = (shown(self.steps, step), shown(self.config.num_layers, layer));
        let directions = self.config.num_directions();
        let features = directions * self.config.hidden_size;
        let line = |label: String, word: &dyn Fn(usize) -> String| {
            let cells = steps.iter().map(|&t| format!("{:^STRIDE$}", word(t)));
            format!("{label:<left$}{}", cells.collect::<String>(), left = self.name() + ARROW - 2)
                .trim_end()
                .to_owned()
        };
        let arrows = || line(String::new(), &|_| "^".to_owned());
        let mut lines = vec![line(format!("output ({features})"), &|t| format!("[{t}]")), arrows()];
        for (i, &own) in layers.iter().enumerate().rev() {
            for direction in 0..directions {
                lines.push(self.chain(own, direction, &steps));
            }
            let gap = i.checked_sub(1).is_some_and(|below| layers[below] + 1 < own);
            lines.push(if gap { line(String::new(), &|_| ":".to_owned()) } else { arrows() });
        }
        lines.push(line(format!("x ({})", self.config.input_size), &|t| format!("x[{t}]")));
        lines
    }

    /// Columns of the longest name of a first state, (`H_out`), and a space.
    fn name(&self) -> usize {
        let last = self.config.num_layers * self.config.num_directions() - 1;
        NAME.max(format!("h_0[{last}] ({}) ", self.config.hidden_size).len())
    }

    /// One layer and direction from its first state to its last.
    fn chain(&self, layer: usize, direction: usize, steps: &[usize]) -> String {
        let index = layer * self.config.num_directions() + direction;
        let own = (layer, direction) == (self.moment.layer, self.moment.direction);
        let reverse = self.about.is_reverse(direction);
        let name = format!("l{layer}{}", if reverse { "r" } else { "" });
        let (first, last) = (format!("h_0[{index}]"), format!("h_n[{index}]"));
        let ([left, right], [long, short]) = if reverse {
            ([last, first], ["<--", " <- "])
        } else {
            ([first, last], ["-->", " -> "])
        };
        let first = format!("{left} ({})", self.config.hidden_size);
        let mut line = format!("{first:<width$}{long} ", width = self.name());
        for (i, &t) in steps.iter().enumerate() {
            let gap = i > 0 && steps[i - 1] + 1 < t;
            line.push_str(if i == 0 {
                ""
            } else if gap {
                "...."
            } else {
                short
            });
            let [open, close] = if own && t == self.moment.step { ["*", "*"] } else { ["[", "]"] };
            line.extend([open, &format!("{name:^4}"), close]);
        }
        format!("{line} {long} {right}")
    }
}

/// The first, the last and the neighbours of one of `count` things; all if they are few.
fn shown(count: usize, own: usize) -> Vec<usize> {
    if count <= MAX_SHOWN {
        return (0..count).collect();
    }
    let mut shown = vec![0, own.saturating_sub(1), own, (own + 1).min(count - 1), count - 1];
    shown.dedup();
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn the_ends_and_the_neighbours_are_drawn() {
        assert_eq!(shown(5, 2), [0, 1, 2, 3, 4]);
        assert_eq!(shown(100, 50), [0, 49, 50, 51, 99]);
        assert_eq!(shown(100, 0), [0, 1, 99]);
        assert_eq!(shown(100, 98), [0, 97, 98, 99]);
        assert_eq!(shown(100, 99), [0, 98, 99]);
        assert_eq!(shown(1, 0), [0]);
    }
}
