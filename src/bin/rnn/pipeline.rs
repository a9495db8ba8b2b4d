//! One pipeline from an input to its outputs: read a section, pass it through the layer, write its output.
//!
//! A whole input is one section, and takes no threads of its own. An input that is larger than memory is many
//! sections: some steps of all sequences, or all steps of some sequences; the next one is read and the last one
//! written meanwhile. The bytes are the same.

pub(crate) mod answered;
pub(crate) mod carried;
pub(crate) mod destination;
pub(crate) mod extent;
mod flow;
mod footprint;
pub(crate) mod held;
pub(crate) mod input;
pub(crate) mod lengths;
pub(crate) mod output;
pub(crate) mod packed;
pub(crate) mod pass;
mod reader;
pub(crate) mod results;
mod rows;
mod stages;
pub(crate) mod state;
mod writer;

use std::time::Instant;

use anyhow::Result;
use elman::{Element, Generator, Mode};
use ndarray::ArrayD;
use rayon::ThreadPool;

use crate::progress;

use extent::{Cut, Form};
use flow::Flow;
use footprint::footprint;
use held::{Announce, WHOLE_BYTES};
use input::Input;
use output::OutputFiles;
use pass::{Pass, Stage};
use reader::{Reader, read_whole};
use results::Results;
use stages::Stages;

/// An input, as it is read.
pub(crate) enum Reading {
    Whole(Input),
    Sections(Cut, Reader),
}

impl<T: Element> Pass<'_, T> {
    /// Decides how the input is read, and announces what is held in memory.
    pub(crate) fn reading(
        &self,
        input: Input,
        outputs: &OutputFiles,
        announce: Announce,
        notes: &mut Vec<String>,
    ) -> Reading {
        let extent = self.extent;
        let source = match self.cut(&input, outputs) {
            None => Err(input),
            Some(cut) => Reader::new(input).map(|reader| (cut, reader)),
        };
        match source {
            Ok((cut, reader)) => {
                // The first sections are the largest.
                let two = extent.sections(cut).take(2).map(|section| extent.bytes(&section));
                held::announce(cut.words(), held::sum(two), announce, notes);
                Reading::Sections(cut, reader)
            }
            Err(input) => {
                let bytes = footprint(self.rnn, self.options, extent);
                held::announce("input and output are held whole", bytes, announce, notes);
                Reading::Whole(input)
            }
        }
    }

    /// How the run is cut; `None` for a single pass. A table is written row by row, and the rows of a section lie
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

    /// Runs the layer over the input: the results, and the seconds that it took. An output that is too large to
    /// be held is written on the way.
    pub(crate) fn run(
        &self,
        pool: &ThreadPool,
        reading: Reading,
        h_0: Option<ArrayD<T>>,
        outputs: &mut OutputFiles,
        generator: &mut Generator,
    ) -> Result<(Results<T>, f64)> {
        let start = Instant::now();
        match reading {
            Reading::Whole(input) => {
                let flow = Flow::new(self, h_0, false)?;
                let mode = if self.options.train { Mode::Train(generator) } else { Mode::Eval };
                self.whole(flow, pool, input, mode)
            }
            Reading::Sections(cut, reader) => {
                let flow = Flow::new(self, h_0, cut.in_time())?;
                let results = self.in_sections(flow, pool, cut, reader, outputs)?;
                Ok((results, start.elapsed().as_secs_f64()))
            }
        }
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
        mut reader: Reader,
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
        progress.finish_and_clear();
        ended?;
        reader.expect_end()?;
        let (h_n, last) = flow.finish()?;
        outputs.end(writer, self)?;
        Ok(Results { output: None, h_n, last, all_hidden: Vec::new() })
    }
}
