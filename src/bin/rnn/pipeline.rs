//! One pipeline from an input to its outputs: read a section, pass it through the layer, write its output.
//!
//! A whole input is one section, and takes no threads of its own. An input that is larger than memory is many
//! sections: some steps of all sequences, or all steps of some sequences; the next one is read and the last one
//! written meanwhile. The bytes are the same.

pub(crate) mod carried;
pub(crate) mod destination;
pub(crate) mod extent;
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
use elman::{Element, Generator, Mode};
use ndarray::ArrayD;
use rayon::ThreadPool;

use crate::progress;

use extent::{Cut, Form};
use flow::Flow;
use held::WHOLE_BYTES;
use input::{Input, Reader, read_whole};
use output::OutputFiles;
use pass::{Pass, Results, Stage};
use stages::Stages;

impl<T: Element> Pass<'_, T> {
    /// Runs the layer over the input: the results, and the seconds that it took. An output that is too large to
    /// be held is written on the way. A note announces what is held in memory.
    pub(crate) fn run(
        &self,
        pool: &ThreadPool,
        mut input: Input,
        h_0: Option<ArrayD<T>>,
        outputs: &mut OutputFiles,
        generator: &mut Generator,
        notes: &mut Vec<String>,
    ) -> Result<(Results<T>, f64)> {
        let (extent, form) = (self.extent, self.options.report);
        let cut = self.cut(&input, outputs);
        let reader = cut.and_then(|_| Reader::new(&mut input, extent).transpose()).transpose()?;
        if let (Some(cut), Some(reader)) = (cut, reader) {
            // Two sections are in memory. The first ones are as large as any.
            let two = extent.sections(cut).take(2).map(|section| extent.bytes(&section));
            let words = if cut.in_time {
                "steps are held in chunks"
            } else {
                "whole sequences are held in blocks"
            };
            held::announce(words, held::sum(two), form, notes);
            let start = Instant::now();
            let flow = Flow::new(self, h_0, cut.in_time)?;
            let results = self.in_sections(flow, pool, cut, reader, outputs)?;
            return Ok((results, start.elapsed().as_secs_f64()));
        }
        held::announce("input and output are held whole", self.footprint(), form, notes);
        let mode = if self.options.train { Mode::Train(generator) } else { Mode::Eval };
        self.whole(Flow::new(self, h_0, false)?, pool, input, mode)
    }

    /// How the run is cut, `None` for a single pass. A table is written row by row, and the rows of a section lie
    /// in all of it. Masks are drawn in the order of the whole batch, every layer's states are a tensor each, and
    /// an output with more steps than the input has no section for them.
    fn cut(&self, input: &Input, outputs: &OutputFiles) -> Option<Cut> {
        let Pass { rnn, extent, options, .. } = self;
        let config = rnn.config();
        let tensor = matches!(extent.form, Form::Unbatched | Form::Batched);
        let single = (options.train && config.dropout > 0.0 && config.num_layers > 1)
            || (tensor && outputs.output_is_text())
            || options.all_hidden
            || (extent.form == Form::Unbatched && extent.lengths.is_some())
            || (tensor && options.total_length.is_some())
            || extent.bytes(&extent.whole()) <= WHOLE_BYTES;
        let seekable = input.is_file() && outputs.output_is_file();
        if single { None } else { extent.cut(seekable) }
    }

    /// Everything as one section.
    fn whole(
        &self,
        mut flow: Flow<'_, T>,
        pool: &ThreadPool,
        input: Input,
        mode: Mode<'_>,
    ) -> Result<(Results<T>, f64)> {
        let section = self.extent.whole();
        let input = read_whole(input, self.extent)?;
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

    /// Section by section.
    fn in_sections(
        &self,
        mut flow: Flow<'_, T>,
        pool: &ThreadPool,
        cut: Cut,
        mut reader: Reader<'_>,
        outputs: &mut OutputFiles,
    ) -> Result<Results<T>> {
        let extent = self.extent;
        let mut writer = outputs.begin(self)?;
        let progress = progress::bytes(extent.bytes(&extent.whole()));
        let stages = Stages {
            read: &mut |section, memory| reader.read(extent, section, memory),
            compute: &mut |section, input| {
                self.check(Stage::Input, section, &input)?;
                let mut layers = pool.install(|| flow.step(section, &input, Mode::Eval))?;
                let output = layers.pop().unwrap_or_else(|| unreachable!("a layer's output"));
                self.check(Stage::Output, section, &output)?;
                Ok((output, input.into_memory()))
            },
            write: &mut |section, output| {
                if let Some(writer) = &mut writer {
                    writer.write(self, section, output)?;
                }
                progress.inc(extent.bytes(section) as u64);
                Ok(())
            },
        };
        let ended = stages.run(extent.sections(cut));
        progress.display.finish_and_clear();
        ended?;
        reader.expect_end()?;
        let (h_n, last) = flow.finish()?;
        outputs.end(writer, self)?;
        Ok(Results { output: None, h_n, last, all_hidden: Vec::new() })
    }
}
