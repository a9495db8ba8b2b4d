//! One pipeline from an input to its outputs: read a section, pass it through the layer, write its output.
//!
//! A whole input is one section, and takes no threads of its own. An input that is larger than memory is many
//! sections: some steps of all sequences, or all steps of some sequences; the next one is read and the last one
//! written meanwhile. The bytes are the same.

pub(crate) mod answers;
pub(crate) mod beside;
pub(crate) mod carried;
pub(crate) mod extent;
pub(crate) mod flow;
pub(crate) mod groups;
pub(crate) mod ids;
pub(crate) mod input;
pub(crate) mod kept;
mod members;
pub(crate) mod output;
pub(crate) mod output_path;
pub(crate) mod pass;
pub(crate) mod prediction;
mod reader;
pub(crate) mod rows;
pub(crate) mod sequences;
pub(crate) mod state;
pub(crate) mod table;
mod writer;

use std::sync::mpsc::sync_channel;
use std::thread::{Builder, ScopedJoinHandle};
use std::time::Instant;

use anyhow::{Result, anyhow};
use elman::{Element, Mode, Pool, Watch};
use ndarray::{ArrayD, Axis};
use rayon::ThreadPool;

use crate::progress;
use crate::report::Notes;
use crate::rng::Rng;

use extent::{Cut, SectionKind};
use flow::Flow;
use input::Input;
use output::Outputs;
use pass::{Pass, Stage};
use prediction::{Decoding, Outcome, Results};
use reader::Reader;
use rows::{Given, Rows, Section};
use writer::Writer;

impl<T: Element> Pass<'_, T> {
    /// Runs the layer over the input: the results, and the seconds that it took. An output that is too large to
    /// be held is written on the way. A note announces what is held in memory.
    pub(crate) fn run(
        &self,
        pool: &ThreadPool,
        mut input: Input,
        h_0: Option<ArrayD<T>>,
        outputs: &mut Outputs,
        rng: &mut Rng,
        notes: &mut Notes,
    ) -> Result<(Results<T>, f64)> {
        let seekable = input.is_file() && outputs.output_is_file();
        let cut = self.cut(seekable, outputs.output_is_text());
        let reader = cut.and_then(|_| Reader::new(&mut input, self).transpose()).transpose()?;
        if let (Some(cut), Some(reader)) = (cut, reader) {
            // Two sections are in memory. The first ones are as large as any.
            let two = self.sections(cut).take(2).map(|section| self.bytes(&section));
            let words = match cut.sections {
                SectionKind::Chunk => "steps are held in chunks",
                SectionKind::Block => "whole sequences are held in blocks",
            };
            extent::announce(words, extent::sum(two), notes);
            let start = Instant::now();
            let flow = Flow::new(self, h_0, cut.sections)?;
            let results = self.in_sections(flow, pool, cut, reader, outputs)?;
            return Ok((results, start.elapsed().as_secs_f64()));
        }
        extent::announce("input and output are held whole", self.footprint(), notes);
        let decoding = Decoding::new(self, outputs.wants_output())?;
        self.in_one_section(Flow::new(self, h_0, SectionKind::Block)?, decoding, pool, input, rng)
    }

    fn in_one_section(
        &self,
        mut flow: Flow<'_, T>,
        mut decoding: Decoding<'_, T>,
        pool: &ThreadPool,
        input: Input,
        rng: &mut Rng,
    ) -> Result<(Results<T>, f64)> {
        let section = self.whole();
        let (rows, shown) = (self.rows(&section), self.options.progress);
        let bytes = extent::bytes::<T>(&[rows, self.rnn.config().input_size]);
        let bar = shown.then(|| progress::transfer(bytes));
        let input = input.read_whole(self)?;
        drop(bar);
        self.check_input(&section, &input)?;
        let mode = if self.options.train { Mode::Train(rng.generator()?) } else { Mode::Eval };
        let start = Instant::now();
        let bar = progress::steps(self.rnn.config(), rows, shown);
        let passed = |rows| bar.inc(rows as u64);
        let mut layers =
            pool.install(|| flow.step(&section, &input, mode, Some(Watch(&passed))))?;
        bar.display.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        drop(input);
        let all_hidden =
            if self.options.all_hidden { self.all_hidden(&layers)? } else { Vec::new() };
        let output = layers.pop();
        output.iter().try_for_each(|output| self.check(Stage::Output, &section, output))?;
        let saturated = flow.is_saturated();
        let (h_n, last) = flow.finish()?;
        let output = pool.install(|| match output {
            Some(output) => Ok(decoding.part(&section, output)?.or(decoding.finish(&h_n)?)),
            None => decoding.finish(&h_n),
        })?;
        Ok((Results { output, h_n, last, all_hidden, saturated }, seconds))
    }

    fn check_input(&self, section: &Section, input: &Given<T>) -> Result<()> {
        match input {
            Given::Numbers(input) => self.check(Stage::Input, section, input),
            Given::Ids(_) => Ok(()),
        }
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

    fn in_sections(
        &self,
        mut flow: Flow<'_, T>,
        pool: &ThreadPool,
        cut: Cut,
        mut reader: Reader<'_>,
        outputs: &mut Outputs,
    ) -> Result<Results<T>> {
        let mut decoding = Decoding::new(self, outputs.wants_output())?;
        let sink = outputs.sinks[0].take_if(|_| self.model.decoder().pool == Pool::Steps);
        let mut writer = sink.map(|sink| Writer::begin(sink, self)).transpose()?;
        let progress = progress::bytes(self.bytes(&self.whole()), self.options.progress);
        let ended = pass_all(
            self.sections(cut),
            &mut |section, memory| reader.read(self, section, memory),
            &mut |section, input| {
                self.check_input(section, &input)?;
                let mut layers = pool.install(|| flow.step(section, &input, Mode::Eval, None))?;
                let output = layers.pop().unwrap_or_else(|| unreachable!("a layer's output"));
                self.check(Stage::Output, section, &output)?;
                let decoded = pool.install(|| decoding.part(section, output))?;
                Ok((decoded, input.into_numbers()))
            },
            &mut |section, output| {
                if let (Some(writer), Some(output)) = (&mut writer, output) {
                    writer.write(self, section, output)?;
                }
                progress.inc(self.bytes(section) as u64);
                Ok(())
            },
        );
        progress.display.finish_and_clear();
        ended.and_then(|()| reader.expect_end())?;
        let (saturated, (h_n, last)) = (flow.is_saturated(), flow.finish()?);
        let written = writer.map(|writer| writer.finish(self)).transpose()?;
        outputs.sinks[0] = written.or(outputs.sinks[0].take());
        let output = pool.install(|| decoding.finish(&h_n))?;
        Ok(Results { output, h_n, last, all_hidden: vec![], saturated })
    }
}

/// Buffers in use: one section is read while another one is computed.
const BUFFERS: usize = 2;

/// Reads a section, into memory that may have been used before.
type Read<'a, T> = &'a mut (dyn FnMut(&Section, Vec<T>) -> Result<Given<T>> + Send + 'a);
/// The output of a section; `None` if it is pooled.
type Decoded<T> = Option<Outcome<T>>;
/// Computes the output of a section, and returns the memory of its input.
type Compute<'a, T> = &'a mut (dyn FnMut(&Section, Given<T>) -> Result<(Decoded<T>, Vec<T>)> + 'a);
type Write<'a, T> = &'a mut (dyn FnMut(&Section, Decoded<T>) -> Result<()> + Send + 'a);

/// Passes all sections through the stages.
fn pass_all<T: Send>(
    mut sections: impl Iterator<Item = Section> + Send,
    read: Read<'_, T>,
    compute: Compute<'_, T>,
    write: Write<'_, T>,
) -> Result<()> {
    if let Some(ended) = at_once(&mut sections, read, compute, write) {
        return ended;
    }
    let mut memory = Vec::new();
    for section in sections {
        let input = read(&section, memory)?;
        let (output, used) = compute(&section, input)?;
        write(&section, output)?;
        memory = used;
    }
    Ok(())
}

/// Reads and writes on two threads while this one computes. `None` if the system refuses the threads: then
/// nothing has been read.
fn at_once<T: Send>(
    sections: &mut (dyn Iterator<Item = Section> + Send),
    read: Read<'_, T>,
    compute: Compute<'_, T>,
    write: Write<'_, T>,
) -> Option<Result<()>> {
    let (filled_in, filled) = sync_channel(1);
    let (empty_in, empty) = sync_channel(BUFFERS);
    let (done_in, done) = sync_channel::<(Section, Decoded<T>)>(0);
    // The channel has room for all of them.
    (0..BUFFERS).for_each(|_| drop(empty_in.send(Vec::new())));
    std::thread::scope(|scope| {
        let write_all =
            move || done.into_iter().try_for_each(|(section, output)| write(&section, output));
        let writing = Builder::new().spawn_scoped(scope, write_all).ok()?;
        let read_all = move || {
            for section in sections {
                // A stage that has ended reports its own error.
                let Ok(memory) = empty.recv() else { break };
                let input = read(&section, memory)?;
                if filled_in.send((section, input)).is_err() {
                    break;
                }
            }
            Ok(())
        };
        let reading = Builder::new().spawn_scoped(scope, read_all).ok()?;
        let computed = filled.into_iter().try_for_each(|(section, input)| {
            let (output, memory) = compute(&section, input)?;
            // A reader that has ended needs no memory. A writer that has ended reports its own error, and
            // the rest need not be computed.
            let _ = empty_in.send(memory);
            done_in.send((section, output)).map_err(|_| anyhow!("the writer has ended"))
        });
        drop((empty_in, done_in));
        let (read, written) = (joined(reading), joined(writing));
        Some(read.and(written).and(computed))
    })
}

/// The result of a thread; its panic continues here.
fn joined<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
