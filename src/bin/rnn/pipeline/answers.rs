//! The answers of a stream, each in the form of what it answers.

use anyhow::Result;
use elman::files::{Answers, FileError, KeptCells, TensorFormat};
use elman::{Element, Function, Model, ModelConfig, Pool, Prediction};

use super::beside::Beside;
use super::prediction::Names;
use crate::model_flags::gives_indices;

/// The form of what a stream answers.
pub(crate) enum StreamForm {
    /// .npy after .npy.
    Arrays,
    /// Bare numbers.
    Frames,
    /// The lines of a table.
    Table(Beside),
    /// Lines of text, each a sequence.
    Text,
}

/// The answers on standard output, each flushed.
pub(crate) struct Answering {
    answers: Answers,
    form: StreamForm,
    labels: Option<Vec<String>>,
    /// Values of a row of numbers.
    columns: usize,
    /// Whether each step has a prediction of its own.
    steps: bool,
    begun: bool,
}

impl StreamForm {
    /// The word for what is answered.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            StreamForm::Arrays => "array",
            StreamForm::Frames => "frame",
            StreamForm::Table(_) => "row",
            StreamForm::Text => "line",
        }
    }

    /// The part of a sequence that each input is, in words; `None` for arrays, which may be batches.
    pub(crate) fn of_one(&self) -> Option<&'static str> {
        match self {
            StreamForm::Arrays => None,
            StreamForm::Frames => Some("a frame being a step of one sequence"),
            StreamForm::Table(_) => Some("a row being a step of one sequence"),
            StreamForm::Text => Some("a line being one sequence"),
        }
    }

    /// Whether the input is text.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, StreamForm::Table(_) | StreamForm::Text)
    }

    /// Whether a model answers it with text: with names of classes, binary data is too.
    pub(crate) fn has_text_answers(&self, around: &ModelConfig) -> bool {
        self.is_text() || (gives_indices(around) && around.labels.is_some())
    }
}

impl Answering {
    pub(crate) fn new<T: Element>(
        form: StreamForm,
        model: &Model<T>,
        around: &ModelConfig,
    ) -> Result<Self> {
        let (rnn, decoder) = (model.rnn().config(), model.decoder());
        let classes = decoder.check(rnn.num_directions() * rnn.hidden_size)?;
        let columns = match decoder.function {
            Some(Function::Argmax) => 1,
            Some(Function::Top(k)) => 2 * k,
            _ => classes,
        };
        if let StreamForm::Table(beside) = &form {
            beside.check_names(columns)?;
        }
        let (labels, steps) = (around.labels.clone(), decoder.pool == Pool::Steps);
        Ok(Answering { answers: Answers::stdout()?, form, labels, columns, steps, begun: false })
    }

    /// Sets the cells that stand before the next answer, if columns of a table are copied.
    pub(crate) fn keep(&mut self, cells: &KeptCells) {
        if let StreamForm::Table(beside) = &mut self.form {
            beside.keep(cells);
        }
    }

    /// Writes an answer.
    pub(crate) fn write<T: Element>(
        &mut self,
        prediction: &Prediction<T>,
    ) -> Result<(), FileError> {
        let labels = self.labels.as_deref();
        let indices = !matches!(prediction, Prediction::Values(_));
        let names = |separator| Names { labels, separator };
        match &self.form {
            StreamForm::Table(beside) => {
                let first = !std::mem::replace(&mut self.begun, true);
                let labels = labels.filter(|_| !indices);
                let lines = || beside.lines(TensorFormat::Csv, self.columns, labels);
                let lines = if first { lines() } else { beside.next_lines() };
                self.answers.write(|writer| {
                    lines.write(writer, |writer| match prediction {
                        Prediction::Values(own) => TensorFormat::Csv.write(writer, &own.view()),
                        _ => writer.write_all(names(",").table(prediction).as_bytes()),
                    })
                })
            }
            StreamForm::Text => {
                let line = names("\t").line(prediction, self.steps);
                self.answers.bytes(line.as_bytes())
            }
            _ if indices && labels.is_some() => {
                let table = names("\t").table(prediction);
                self.answers.bytes(table.as_bytes())
            }
            StreamForm::Arrays => match prediction {
                Prediction::Values(values) => self.answers.array(&values.view()),
                Prediction::Classes(classes) => self.answers.array(&classes.view()),
                Prediction::Top { values, indices } => {
                    self.answers.array(&values.view())?;
                    self.answers.array(&indices.view())
                }
            },
            StreamForm::Frames => self.frame(prediction),
        }
    }

    /// Writes numbers without a header: a class is one, and the largest values stand before their indices.
    fn frame<T: Element>(&mut self, prediction: &Prediction<T>) -> Result<(), FileError> {
        match prediction {
            Prediction::Values(values) => self.answers.frame(values.iter().map(|&x| x.into())),
            Prediction::Classes(classes) => self.answers.frame(classes.iter().map(|&i| i as f64)),
            Prediction::Top { values, indices } => {
                let values = values.iter().map(|&x| x.into());
                self.answers.frame(values.chain(indices.iter().map(|&i| i as f64)))
            }
        }
    }
}
