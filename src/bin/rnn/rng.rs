//! `--seed` and `--rng`: the source of random numbers, and the state for the next command.

use std::path::Path;

use anyhow::{Context, Result};
use elman::files::{
    Accepts, FileError, Header, Overwrite, Sink, Source, StoredType, TensorFile, open, write_npy,
    written_file,
};
use elman::{Error, Generator, STATE_BYTES};
use ndarray::ArrayView1;

use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::pipeline::output::shown;

/// The generator of a command, and the file that its state goes back to.
pub(crate) struct Rng {
    pub(crate) generator: Generator,
    /// The seed, if this command starts the stream.
    pub(crate) seed: Option<u64>,
    /// The file of the state, with its name.
    file: Option<(String, Sink)>,
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
        let generator = match (seed, path) {
            (Some(seed), path) => {
                // A state replaces only a state: any other file was named by mistake.
                if let Some(path) = path.filter(|path| path.is_file()) {
                    open_state(path)?;
                }
                Generator::new(seed)
            }
            (None, Some(path)) => {
                let file = open_state(path)?;
                let place = file.place().to_owned();
                // Every byte is a number that f32 holds exactly.
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 255"
                )]
                let bytes: Vec<u8> = file.read::<f32>()?.iter().map(|&byte| byte as u8).collect();
                Generator::from_state(&bytes).context(place)?
            }
            (None, None) => Generator::new(Generator::DEFAULT_SEED),
        };
        let seed = (seed.is_some() || path.is_none()).then(|| generator.seed());
        // The state is always replaced: --no-clobber is about results.
        let open = |path| Ok::<_, FileError>((shown(path), Sink::open(path, Overwrite::Replace)?));
        Ok(Rng { generator, seed, file: path.map(open).transpose()? })
    }

    /// Writes the state back, after every output is in place, and returns the name of its file.
    pub(crate) fn save(self) -> Result<Option<String>> {
        let Some((place, mut sink)) = self.file else { return Ok(None) };
        let state = self.generator.state();
        sink.write(|file| write_npy(file, &ArrayView1::from(&state[..]).into_dyn()))?;
        sink.commit()?;
        Ok(Some(place))
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
