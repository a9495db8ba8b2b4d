//! Arguments of `rnn completions` and `rnn man`, and the manual for Python.
#![allow(clippy::doc_markdown, reason = "these comments are the help that a terminal shows")]

use clap::Args as ClapArgs;
use clap_complete::Shell;

use super::values::Named;

/// Text of `rnn help python`.
pub(crate) const PYTHON: &str = "\
How NumPy's arrays go through pipes.

One array in, one array out:

    import io, subprocess, numpy as np
    def save(array):
        file = io.BytesIO(); np.save(file, array); return file.getvalue()
    run = ['rnn', 'run', '-w', 'w.npz', '-i', '-', '-o', '-', '-q']
    done = subprocess.run(run, input=save(x), stdout=subprocess.PIPE, check=True)
    output = np.load(io.BytesIO(done.stdout))

In a shell's pipeline, with pipes as standard input and output:

    x = np.load(io.BytesIO(sys.stdin.buffer.read()))
    np.save(open(1, 'wb', 0), x)

np.save(sys.stdout.buffer, x) writes the header and then fails, and np.load(sys.stdin.buffer) fails at
once, because NumPy seeks in the file, and a pipe cannot seek.

Array after array, each answered at once, with rnn stream:

    rnn = subprocess.Popen(['rnn', 'stream', '-w', 'w.npz', '-q'], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE)
    def step(x):
        rnn.stdin.write(save(x)); rnn.stdin.flush()
        version = np.lib.format.read_magic(rnn.stdout)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(rnn.stdout)
        count = int(np.prod(shape))
        return np.frombuffer(rnn.stdout.read(count * dtype.itemsize), dtype).reshape(shape)

Weights of a PyTorch model, without a .pt file:

    np.savez('w.npz', **{name: value.numpy() for name, value in model.rnn.state_dict().items()})";

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Man {
    /// The command [default: rnn itself].
    #[arg(value_name = "COMMAND", value_parser = Named::COMMAND, hide_possible_values = true)]
    pub(crate) command: Option<String>,
}
