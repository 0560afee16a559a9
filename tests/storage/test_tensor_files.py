import resource
from pathlib import Path

import pytest
import torch

from astra.storage.tensor_files import save_tensors


def test_a_full_disk_is_one_message_and_leaves_no_file(tmp_path: Path) -> None:
    """The limit of file sizes stands in for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match=r"weights.safetensors cannot be written \(.*: free space on its disk"):
            save_tensors({"a": torch.zeros(1000)}, tmp_path / "weights.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
