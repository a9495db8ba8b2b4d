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

impl<T: Element> Pass<'_, T> {
    /// Decides how the run is cut, `None` for a single pass, and announces what is held in memory.
    pub(crate) fn cut(
        &self,
        input: &mut Input,
        outputs: &OutputFiles,
        announce: Announce,
        notes: &mut Vec<String>,
    ) -> Result<Option<Cut>> {
        let extent = self.extent;
        let cut = self.cut_by_size(input, outputs);
        let cut = match cut {
            Some(cut) => Reader::new(input, extent)?.map(|_| cut),
            None => None,
        };
        let (words, bytes) = match cut {
            Some(cut) => {
                // Two sections are in memory. The first ones are as large as any.
                let two = extent.sections(cut).take(2).map(|section| extent.bytes(&section));
                (cut.words(), held::sum(two))
            }
            None => ("input and output are held whole", footprint(self.rnn, self.options, extent)),
        };
        held::announce(words, bytes, announce, notes);
        Ok(cut)
    }

    /// How the run is cut if its input can be. A table is written row by row, and the rows of a section lie
    /// in all of it. Masks are drawn in the order of the whole batch, every layer's states are a tensor each, and
    /// an output with more steps than the input has no section for them.
    fn cut_by_size(&self, input: &Input, outputs: &OutputFiles) -> Option<Cut> {
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
        (input, cut): (Input, Option<Cut>),
        h_0: Option<ArrayD<T>>,
        outputs: &mut OutputFiles,
        generator: &mut Generator,
    ) -> Result<(Results<T>, f64)> {
        let start = Instant::now();
        let flow = Flow::new(self, h_0, cut.is_some_and(Cut::in_time))?;
        let Some(cut) = cut else {
            let mode = if self.options.train { Mode::Train(generator) } else { Mode::Eval };
            return self.whole(flow, pool, input, mode);
        };
        let results = self.in_sections(flow, pool, cut, input, outputs)?;
        Ok((results, start.elapsed().as_secs_f64()))
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
        mut input: Input,
        outputs: &mut OutputFiles,
    ) -> Result<Results<T>> {
        let extent = self.extent;
        let reader = Reader::new(&mut input, extent)?;
        let mut reader = reader.unwrap_or_else(|| unreachable!("the run has been cut"));
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
