"""A page for a hosted demo, in Gradio: pip install auteur-face "gradio>=6", then run this file.

Gradio is no dependency of Auteur, whose own page is `auteur studio`. One visitor's video is made at a time;
uploads are limited and results removed after an hour. On a Space this file is app.py.
"""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gradio as gr

from auteur import TalkingHead
from auteur.errors import AuteurError
from auteur.facs import EMOTIONS, listed_controls

LONGEST_SEC = 20
MOST_MB = 20
KEPT_SEC = 3600
SLIDERS = ("AU1", "AU2", "AU4", "AU6", "AU9", "AU12", "AU15", "AU45")
FROM_VOICE = "as in the voice"
PROGRESS = gr.Progress()
NAMES = {one.code: f"{one.code} {one.name.replace('_', ' ')}" for one in listed_controls()}

head = TalkingHead.from_pretrained("compact")


def make(portrait, speech, agreed, emotion, intensity, seed, *units, progress=PROGRESS):
    """Returns the path of the video and the notes about it."""
    if portrait is None or speech is None:
        raise gr.Error("Give a portrait and a recording.")
    if not agreed:
        raise gr.Error("Animate people who agreed to it, or faces of nobody.")
    wanted = {} if emotion == FROM_VOICE else {"emotion": emotion, "intensity": intensity}
    raised = {code: value for code, value in zip(SLIDERS, units, strict=True) if value}
    try:
        video = head(
            portrait, Path(speech), au=raised, seed=int(seed), seconds=LONGEST_SEC, size="640", **wanted
        )
        path = Path(tempfile.mkdtemp(prefix="auteur-")) / "out.mp4"
        video.save(path, on_frame=lambda done: progress((done, len(video)), unit="frames"))
    except AuteurError as error:
        raise gr.Error(str(error)) from error
    return str(path), "\n".join(video.notes) or "AI-generated; the file says so, too."


def page() -> gr.Blocks:
    """Returns the page."""
    with gr.Blocks(title="Auteur", delete_cache=(600, KEPT_SEC), analytics_enabled=False) as blocks:
        gr.Markdown(
            "# Auteur\nDirect a face: a portrait, a recording, and a performance down to the single muscle."
        )
        with gr.Row():
            with gr.Column():
                portrait = gr.Image(label="Portrait", type="numpy", sources=["upload", "webcam"])
                speech = gr.Audio(label="Recording", type="filepath", sources=["upload", "microphone"])
                agreed = gr.Checkbox(label="The person in the picture agreed, or is nobody")
                emotion = gr.Dropdown([FROM_VOICE, *EMOTIONS], value=FROM_VOICE, label="Emotion")
                intensity = gr.Slider(0, 1.2, 1.0, label="Intensity")
                with gr.Accordion("Action Units", open=False):
                    units = [gr.Slider(0, 1, 0, label=NAMES[code]) for code in SLIDERS]
                seed = gr.Number(0, label="Seed", precision=0)
                button = gr.Button("Make the video", variant="primary")
            with gr.Column():
                video = gr.Video(label="Video", interactive=False)
                notes = gr.Textbox(label="Notes", interactive=False)
        inputs = [portrait, speech, agreed, emotion, intensity, seed, *units]
        button.click(make, inputs, [video, notes], concurrency_limit=1, api_visibility="private")
    return blocks


if __name__ == "__main__":
    page().queue(max_size=20).launch(max_file_size=f"{MOST_MB}mb", share=False, show_error=True)
