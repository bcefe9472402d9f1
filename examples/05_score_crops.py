"""Score pictures of faces without any video: the two most probable expressions of each.

    python examples/05_score_crops.py [folder or pictures ...]

You learn: `prepare` and `OnnxModel.predict` are the whole network part. A portrait is cut to its
face first; a picture in which no face is found counts as a crop already. The numbers are calibrated
probabilities of what a face shows, over the labels in the card of the model.
"""

import sys
from pathlib import Path

import numpy as np

from classpulse.core.records import Frame
from classpulse.room.demo import portrait_paths
from classpulse.runtime.model import OnnxModel
from classpulse.vision.detect import build_detector
from classpulse.vision.image import crop_face, prepare
from classpulse.vision.stills import read_still


def main(paths: list[Path]) -> None:
    model, detect = OnnxModel("face-base"), build_detector("retinaface")
    batch, files = [], [f for p in paths for f in (sorted(p.iterdir()) if p.is_dir() else [p])]
    for file in files:
        image = read_still(file)
        faces = detect(Frame(image, t=0.0, index=0, source=file.name))  # surest face first
        if len(faces):
            image = crop_face(image, faces.box[0], faces.landmarks[0], model.card.input)
        batch.append(prepare(image, model.card.input))
    scores = model.predict(np.stack(batch))["emotion"]
    for file, probs in zip(files, scores.probs, strict=True):
        best = np.argsort(-probs)[:2]
        labels = [f"{scores.space.names[i]} {probs[i]:.2f}" for i in best]
        print(f"{file.name:<20} {', '.join(labels)}")


if __name__ == "__main__":
    main([Path(given) for given in sys.argv[1:]] or portrait_paths())
