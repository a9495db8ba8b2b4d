//! `--seed` and `--rng`: the source of random numbers, and the state for the next command.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use elman::files::{
    Accepts, FileError, Header, Lock, Overwrite, Pending, Sink, Source, StoredType, TensorFile,
    commit_all, open, write_npy, written_file,
};
use elman::{Error, Generator, STATE_BYTES};
use ndarray::ArrayView1;

use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::pipeline::output_path::shown;

/// The generator of a command, and the file that its state goes back to.
pub(crate) struct Rng {
    /// The seed, if this command starts the stream.
    pub(crate) seed: Option<u64>,
    /// `None` before the first draw.
    generator: Option<Generator>,
    /// The file of the state, and where it is written.
    file: Option<(PathBuf, Sink)>,
    /// Held from the first draw until the state has been saved.
    lock: Option<Lock>,
}

impl Rng {
    /// A new stream with `--seed`, else the one in the file of `--rng`, else the stream of PyTorch's new
    /// `torch.Generator()`. The file must be writable and no output.
    pub(crate) fn open<P: AsRef<Path>>(
        seed: Option<u64>,
        path: Option<&Path>,
        outputs: impl IntoIterator<Item = P>,
    ) -> Result<Self> {
        for output in outputs {
            path.map_or(Ok(()), |path| refuse_shared(path, output.as_ref()))?;
        }
        // A state replaces only a state: any other file was named by mistake.
        if let Some(path) = path.filter(|path| seed.is_none() || path.is_file()) {
            open_state(path)?;
        }
        let seed = seed.or(path.is_none().then_some(Generator::DEFAULT_SEED));
        // The state is always replaced: --no-clobber is about results.
        let open = |path: &Path| {
            Ok::<_, FileError>((path.to_owned(), Sink::open(path, Overwrite::Replace)?))
        };
        Ok(Rng { seed, generator: None, file: path.map(open).transpose()?, lock: None })
    }

    /// The generator, for the first draw and all others. From the first one until the state has been saved its file is
    /// locked: another process that draws from it waits.
    ///
    /// The inputs must have been read. Their writer may hold the lock: `rnn randn --rng r -o - | rnn run --train --rng
    /// r -i -`.
    pub(crate) fn generator(&mut self) -> Result<&mut Generator> {
        if self.generator.is_none() {
            let path = self.file.as_ref().map(|(path, _)| path);
            self.lock = path.map(|path| Lock::wait(path)).transpose()?;
            self.generator = Some(match (self.seed, path) {
                (None, Some(path)) => read_state(path)?,
                (seed, _) => Generator::new(seed.unwrap_or(Generator::DEFAULT_SEED)),
            });
        }
        Ok(self.generator.as_mut().unwrap_or_else(|| unreachable!("it has been read")))
    }

    /// Writes the state, puts it in its place together with the other outputs, and returns the name of its file.
    pub(crate) fn save(
        mut self,
        outputs: impl IntoIterator<Item = Pending>,
    ) -> Result<Option<String>> {
        if self.file.is_none() {
            return Ok(commit_all(outputs).map(|()| None)?);
        }
        let state = self.generator()?.state();
        let Some((path, mut sink)) = self.file else { return Ok(None) };
        sink.write(|file| write_npy(file, &ArrayView1::from(&state[..]).into_dyn()))?;
        commit_all(outputs.into_iter().chain([sink.into()]))?;
        Ok(Some(shown(&path)))
    }
}

/// Refuses a state that would be written to an output, or into it.
fn refuse_shared(rng: &Path, output: &Path) -> Result<()> {
    let files = written_file(rng).zip(written_file(output));
    if !files.is_some_and(|(rng, output)| rng.starts_with(output)) {
        return Ok(());
    }
    let message = format!("expected two files, got {} for --rng and the output", shown(rng));
    Err(with_hint(Usage(message), hint::set("--rng", "rng.npy")))
}

/// The generator in the file of `--rng`.
fn read_state(path: &Path) -> Result<Generator> {
    let file = open_state(path)?;
    let place = file.place().to_owned();
    // Every byte is a number that f32 holds exactly.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    let bytes: Vec<u8> = file.read::<f32>()?.iter().map(|&byte| byte as u8).collect();
    Generator::from_state(&bytes).context(place)
}

/// Opens the state of a generator, and checks its header.
fn open_state(path: &Path) -> Result<TensorFile> {
    let file = open(&Source::Path(path.to_owned()), Accepts::Tensor)?.into_tensor()?;
    let Header { stored, shape, .. } = file.header();
    if *stored != StoredType::U8 || *shape != [STATE_BYTES] {
        let what = format!("expected u8 in shape [{STATE_BYTES}], got {stored} in shape {shape:?}");
        return Err(Error::Invalid { name: "generator state", what })
            .context(file.place().to_owned());
    }
    Ok(file)
}
