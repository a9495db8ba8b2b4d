"""The extension. `elman` exports its public names."""

from os import PathLike
from typing import Any, Iterator, Mapping, Optional, Sequence, Union, final, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import PackedSequence, Ragged

# What is read as an array without a copy: of NumPy, PyTorch or Arrow, or with DLPack or the buffer protocol.
Array = Any
Path = Union[str, "PathLike[str]"]

__version__: str

@final
class RNN:
    @property
    def input_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def num_layers(self) -> int: ...
    @property
    def nonlinearity(self) -> str: ...
    @property
    def bias(self) -> bool: ...
    @property
    def batch_first(self) -> bool: ...
    @property
    def dropout(self) -> float: ...
    @property
    def bidirectional(self) -> bool: ...
    @property
    def dtype(self) -> str: ...
    @property
    def training(self) -> bool: ...
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None: ...
    @overload
    def __call__(
        self, input: PackedSequence, hx: Optional[Array] = None
    ) -> tuple[PackedSequence, NDArray[Any]]: ...
    @overload
    def __call__(self, input: Ragged, hx: Optional[Array] = None) -> tuple[Ragged, NDArray[Any]]: ...
    @overload
    def __call__(
        self, input: Array, hx: Optional[Array] = None, lengths: Optional[ArrayLike] = None
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def forward(
        self, input: Any, hx: Optional[Array] = None, lengths: Optional[ArrayLike] = None
    ) -> tuple[Any, NDArray[Any]]: ...
    def state_dict(self) -> dict[str, NDArray[Any]]: ...
    def load_state_dict(self, state_dict: Mapping[str, Array], strict: bool = True) -> None: ...
    def parameters(self) -> Iterator[NDArray[Any]]: ...
    def named_parameters(self) -> Iterator[tuple[str, NDArray[Any]]]: ...
    def train(self, mode: bool = True) -> RNN: ...
    def eval(self) -> RNN: ...
    def to(self, *args: Any, device: Any = None, dtype: Any = None) -> RNN: ...
    def flatten_parameters(self) -> None: ...
    # The weights and biases, as torch.nn.Module has them: their names depend on the number of layers.
    def __getattr__(self, name: str) -> NDArray[Any]: ...

@final
class Model:
    @property
    def labels(self) -> Optional[list[str]]: ...
    @property
    def pool(self) -> str: ...
    @property
    def input_size(self) -> int: ...
    @property
    def takes_ids(self) -> bool: ...
    @property
    def dtype(self) -> str: ...
    def __init__(
        self,
        path: Path,
        *,
        prefix: Optional[str] = None,
        embedding: Optional[str] = None,
        one_hot: bool = False,
        vocab: Optional[Sequence[str]] = None,
        tokens: Optional[str] = None,
        unknown: Optional[str] = None,
        head: Optional[str] = None,
        pool: Optional[str] = None,
        function: Optional[str] = None,
        top: Optional[int] = None,
        labels: Optional[Sequence[str]] = None,
        nonlinearity: Optional[str] = None,
        batch_first: Optional[bool] = None,
        dtype: Any = None,
    ) -> None: ...
    def __call__(
        self, input: Any, hx: Optional[Array] = None, lengths: Optional[ArrayLike] = None
    ) -> tuple[Any, NDArray[Any]]: ...
    def tokens(self, lines: Sequence[str]) -> Ragged: ...

def load(
    path: Path,
    prefix: Optional[str] = None,
    *,
    nonlinearity: Optional[str] = None,
    batch_first: Optional[bool] = None,
    dropout: Optional[float] = None,
    dtype: Any = None,
) -> RNN: ...
def manual_seed(seed: int, /) -> int: ...
def initial_seed() -> int: ...
def get_rng_state() -> NDArray[np.uint8]: ...
def set_rng_state(new_state: Array, /) -> None: ...
def randn(*size: Any, dtype: Any = None) -> NDArray[Any]: ...
def get_num_threads() -> int: ...
def set_num_threads(num_threads: int, /) -> None: ...

# Used by the modules of this package.
rebuild_rnn: Any
rebuild_model: Any
pack_padded_sequence: Any
pad_packed_sequence: Any
pack_sequence: Any
pad_sequence: Any
unpack_sequence: Any
unpad_sequence: Any
