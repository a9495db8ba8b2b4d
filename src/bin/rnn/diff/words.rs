//! Places in words: the step, row and unit of an index. A shape does not tell an output from an `h_n`, so
//! only a name or a flag gives words.

use crate::args::NamedAxes;

/// The flags that tell the axes.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) axes: Option<NamedAxes>,
    pub(super) batch_first: bool,
    pub(super) bidirectional: bool,
}

impl Words {
    /// The words for an index of a tensor with this shape and these names.
    pub(super) fn of(&self, names: &[&str], shape: &[usize], index: &[usize]) -> Option<String> {
        let kind = self.axes.unwrap_or_else(|| self.guess(names));
        let (&last, leading) = index.split_last()?;
        let axes: &[&str] = match (kind, leading.len()) {
            (NamedAxes::State, 1) => &["state"],
            (NamedAxes::State, 2) => &["state", "row"],
            (NamedAxes::Input | NamedAxes::Output, 1) => &["step"],
            (NamedAxes::Input | NamedAxes::Output, 2) if self.batch_first => &["row", "step"],
            (NamedAxes::Input | NamedAxes::Output, 2) => &["step", "row"],
            _ => return None,
        };
        let direction = |reverse| if reverse { "reverse direction" } else { "forward direction" };
        let word = |(axis, &at): (&&str, &usize)| match *axis {
            // Without `--bidirectional` the number of directions is not known, so a state is not called a layer.
            "state" if self.bidirectional => {
                format!("layer {}, {}", at / 2, direction(at % 2 == 1))
            }
            axis => format!("{axis} {at}"),
        };
        let mut words: Vec<_> = axes.iter().zip(leading).map(word).collect();
        words.push(match kind {
            NamedAxes::Input => format!("feature {last}"),
            NamedAxes::Output if self.bidirectional => {
                // The features of the forward direction precede those of the reverse one; an odd number of
                // features has no halves.
                let features = shape.last().filter(|features| features.is_multiple_of(2))?;
                format!("{}, unit {}", direction(last >= features / 2), last % (features / 2))
            }
            _ => format!("unit {last}"),
        });
        Some(words.join(", "))
    }

    /// The axes that the names tell, if they agree. Without names, `--batch-first` and `--bidirectional` tell
    /// an output.
    fn guess(&self, names: &[&str]) -> NamedAxes {
        let mut said = names.iter().filter_map(|name| of_name(name));
        match said.next() {
            Some(axes) if said.all(|other| other == axes) => axes,
            None if self.batch_first || self.bidirectional => NamedAxes::Output,
            _ => NamedAxes::None,
        }
    }
}

/// The tensor that the name of a file or member tells.
fn of_name(name: &str) -> Option<NamedAxes> {
    let name = name.rsplit(['/', ':']).next().unwrap_or(name).to_lowercase();
    let name = name.strip_suffix(".npy").unwrap_or(&name);
    let words: Vec<_> = name.split(|c: char| !c.is_alphanumeric()).collect();
    let is_state = words.iter().any(|word| matches!(*word, "hn" | "h0"))
        || words.windows(2).any(|pair| matches!(pair, ["h", "n" | "0"]));
    match (words.contains(&"input"), words.contains(&"output"), is_state) {
        (true, false, false) => Some(NamedAxes::Input),
        (false, true, false) => Some(NamedAxes::Output),
        (false, false, true) => Some(NamedAxes::State),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Words = Words { axes: None, batch_first: false, bidirectional: false };

    #[track_caller]
    fn check(words: &Words, name: &str, [shape, index]: [&[usize]; 2], expected: Option<&str>) {
        assert_eq!(words.of(&[name], shape, index).as_deref(), expected);
    }

    #[test]
    fn outputs_have_steps_rows_and_units() {
        let three: [&[usize]; 2] = [&[5, 3, 8], &[3, 0, 7]];
        check(&NOTHING, "output.npy", three, Some("step 3, row 0, unit 7"));
        check(&NOTHING, "output", [&[5, 8], &[3, 7]], Some("step 3, unit 7"));
        check(&NOTHING, "output", [&[5], &[3]], None);
        check(&NOTHING, "output", [&[], &[]], None);
        check(&NOTHING, "a.npy", three, None);
        let batch_first = Words { batch_first: true, ..NOTHING };
        check(&batch_first, "a.npy", three, Some("row 3, step 0, unit 7"));
        check(&batch_first, "a.npy", [&[5, 8], &[3, 7]], Some("step 3, unit 7"));
        check(&batch_first, "input.npy", three, Some("row 3, step 0, feature 7"));
        let both = Words { bidirectional: true, ..NOTHING };
        check(&both, "a.npy", three, Some("step 3, row 0, reverse direction, unit 3"));
        check(
            &both,
            "a.npy",
            [&[5, 3, 8], &[3, 0, 3]],
            Some("step 3, row 0, forward direction, unit 3"),
        );
        check(&both, "a.npy", [&[5, 3, 7], &[3, 0, 3]], None);
        let none = Words { axes: Some(NamedAxes::None), ..NOTHING };
        check(&none, "output.npy", three, None);
    }

    #[test]
    fn states_have_layers_rows_and_units() {
        let three: [&[usize]; 2] = [&[4, 3, 8], &[3, 0, 7]];
        check(&NOTHING, "h_n.npy", three, Some("state 3, row 0, unit 7"));
        check(&NOTHING, "h_n.npy", [&[4, 8], &[3, 7]], Some("state 3, unit 7"));
        check(&NOTHING, "h_n.npy", [&[4], &[3]], None);
        let both = Words { bidirectional: true, ..NOTHING };
        check(&both, "h_0.npy", three, Some("layer 1, reverse direction, row 0, unit 7"));
        let state = Words { axes: Some(NamedAxes::State), ..NOTHING };
        check(&state, "output.npy", three, Some("state 3, row 0, unit 7"));
    }

    #[test]
    fn names_tell_their_tensor() {
        for (name, expected) in [
            ("output.npy", Some(NamedAxes::Output)),
            ("runs/torch-Output.npy", Some(NamedAxes::Output)),
            ("outputs/a.npy", None),
            ("a.npz:output", Some(NamedAxes::Output)),
            ("my_input.npy", Some(NamedAxes::Input)),
            ("h_n.npy", Some(NamedAxes::State)),
            ("readme-h_n.npy", Some(NamedAxes::State)),
            ("encoder.h0", Some(NamedAxes::State)),
            ("graph_node.npy", None),
            ("input-output.npy", None),
            ("stdin", None),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
        assert_eq!(NOTHING.guess(&["output.npy", "expected.npy"]), NamedAxes::Output);
        assert_eq!(NOTHING.guess(&["output.npy", "h_n.npy"]), NamedAxes::None);
    }
}
