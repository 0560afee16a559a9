import subprocess
import sys

from astra.tokenizers import actions, language, states


def test_transformers_is_imported_only_where_an_encoder_is_built():
    modules = ", ".join(module.__name__ for module in (actions, language, states))
    code = f"import sys, {modules}; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
