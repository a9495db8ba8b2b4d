//! One pipeline from an input to its outputs: read a section, pass it through the layer, write its output.
//!
//! A whole input is one section, and takes no threads of its own. An input that is larger than memory is many
//! sections: some steps of all sequences, or all steps of some sequences; the next one is read and the last one
//! written meanwhile. The bytes are the same.

pub(crate) mod carried;
mod cut;
pub(crate) mod destination;
mod flow;
pub(crate) mod held;
pub(crate) mod input;
pub(crate) mod lengths;
pub(crate) mod output;
pub(crate) mod packed;
pub(crate) mod pass;
mod stages;
pub(crate) mod state;

use std::time::Instant;

use anyhow::Result;
use elman::{Element, Generator, Mode, PackedSequence};
use ndarray::{ArrayD, Axis};
use rayon::ThreadPool;

use crate::progress;
use crate::report::Notes;

use cut::Cut;
use flow::Flow;
use input::{Input, Reader};
use output::{Outputs, Writer};
use pass::{Pass, Results, Rows, Stage};
use stages::Stages;

impl<T: Element> Pass<'_, T> {
    /// Runs the layer over the input: the results, and the seconds that it took. An output that is too large to
    /// be held is written on the way. A note announces what is held in memory.
    pub(crate) fn run(
        &self,
        pool: &ThreadPool,
        mut input: Input,
        h_0: Option<ArrayD<T>>,
        outputs: &mut Outputs,
        generator: &mut Generator,
        notes: &mut Notes,
    ) -> Result<(Results<T>, f64)> {
        let seekable = input.is_file() && outputs.output_is_file();
        let cut = self.cut(seekable, outputs.output_is_text());
        let reader = cut.and_then(|_| Reader::new(&mut input, self).transpose()).transpose()?;
        if let (Some(cut), Some(reader)) = (cut, reader) {
            // Two sections are in memory. The first ones are as large as any.
            let two = self.sections(cut).take(2).map(|section| self.bytes(&section));
            let words = if cut.in_time {
                "steps are held in chunks"
            } else {
                "whole sequences are held in blocks"
            };
            held::announce(words, held::sum(two), notes);
            let start = Instant::now();
            let flow = Flow::new(self, h_0, cut.in_time)?;
            let results = self.in_sections(flow, pool, cut, reader, outputs)?;
            return Ok((results, start.elapsed().as_secs_f64()));
        }
        held::announce("input and output are held whole", self.footprint(), notes);
        let mode = if self.options.train { Mode::Train(generator) } else { Mode::Eval };
        self.in_one_section(Flow::new(self, h_0, false)?, pool, input, mode)
    }

    /// Everything as one section.
    fn in_one_section(
        &self,
        mut flow: Flow<'_, T>,
        pool: &ThreadPool,
        input: Input,
        mode: Mode<'_>,
    ) -> Result<(Results<T>, f64)> {
        let section = self.whole();
        let input = input.read_whole(self)?;
        self.check(Stage::Input, &section, &input)?;
        let start = Instant::now();
        let mut layers = pool.install(|| flow.step(&section, &input, mode))?;
        let seconds = start.elapsed().as_secs_f64();
        drop(input);
        let all_hidden =
            if self.options.all_hidden { self.all_hidden(&layers)? } else { Vec::new() };
        let output = layers.pop();
        output.iter().try_for_each(|output| self.check(Stage::Output, &section, output))?;
        let (h_n, last) = flow.finish()?;
        Ok((Results { output, h_n, last, all_hidden }, seconds))
    }

    /// The hidden states of each layer and direction, padded if they are packed.
    fn all_hidden(&self, layers: &[Rows<T>]) -> Result<Vec<(String, ArrayD<T>)>> {
        let (directions, size) =
            (self.rnn.config().num_directions(), self.rnn.config().hidden_size);
        let mut all = Vec::new();
        for (layer, rows) in layers.iter().enumerate() {
            let padded;
            let states = match rows {
                Rows::Padded(tensor) => tensor,
                Rows::Packed(packed) => {
                    padded = self.padded(&self.whole(), packed, self.padding())?;
                    &padded
                }
            };
            for (direction, suffix) in ["", "_reverse"].into_iter().take(directions).enumerate() {
                let columns = direction * size..(direction + 1) * size;
                let own = states.slice_axis(Axis(states.ndim() - 1), columns.into());
                all.push((format!("h_l{layer}{suffix}"), own.to_owned()));
            }
        }
        Ok(all)
    }

    /// Section by section.
    fn in_sections(
        &self,
        mut flow: Flow<'_, T>,
        pool: &ThreadPool,
        cut: Cut,
        mut reader: Reader<'_>,
        outputs: &mut Outputs,
    ) -> Result<Results<T>> {
        let sink = outputs.sinks[0].take();
        let mut writer = sink.map(|sink| Writer::begin(sink, self)).transpose()?;
        let progress = progress::bytes(self.bytes(&self.whole()));
        let stages = Stages {
            read: &mut |section, memory| reader.read(self, section, memory),
            compute: &mut |section, input| {
                self.check(Stage::Input, section, &input)?;
                let mut layers = pool.install(|| flow.step(section, &input, Mode::Eval))?;
                let output = layers.pop().unwrap_or_else(|| unreachable!("a layer's output"));
                self.check(Stage::Output, section, &output)?;
                let (Rows::Padded(data) | Rows::Packed(PackedSequence { data, .. })) = input;
                Ok((output, data.into_raw_vec_and_offset().0))
            },
            write: &mut |section, output| {
                if let Some(writer) = &mut writer {
                    writer.write(self, section, output)?;
                }
                progress.inc(self.bytes(section) as u64);
                Ok(())
            },
        };
        let ended = stages.run(self.sections(cut));
        progress.display.finish_and_clear();
        ended?;
        reader.expect_end()?;
        let (h_n, last) = flow.finish()?;
        outputs.sinks[0] = writer.map(|writer| writer.finish(self)).transpose()?;
        Ok(Results { output: None, h_n, last, all_hidden: Vec::new() })
    }
}
