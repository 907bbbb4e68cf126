"""restyle.py by Stable Diffusion: the photo's own caption and a style become the prompt.

    python examples/restyle.py photo.jpg --backend diffusers
    python examples/restyle.py photo.jpg --backend diffusers "STYLES=Hokusai, a woodcut, joy, a panda mask"

BLIP says what the photo shows; the prompt is "<caption>, in the style of <style>". Each style is drawn twice, from the
photo (SDEdit, arXiv 2108.01073) and from the prompt alone, so that both can be compared. BLIP then answers the same
question about every picture. Weights of about 8 GB are fetched by diffusers and transformers on first use.
"""

import re
import sys
from typing import NamedTuple

import numpy as np
import restyle
import torch
from common import need
from PIL import Image

from texture_diffusion_tools.running import constants, devices, files
from texture_diffusion_tools.running.errors import UserError
from texture_diffusion_tools.writing import png

WISHES = {  # what is no style, and how it enters the prompt
    "a background": "{caption}, in front of a bright beach", "joy": "{caption}, full of joy",
    "sadness": "{caption}, full of sadness", "a panda mask": "{caption}, wearing a panda mask"}
PIXELS = 512**2  # that Stable Diffusion was trained for
QUESTION = "is this picture in the style of {style}?"


class Models(NamedTuple):
    """Pipelines from photos and from text, and BLIP for captions and for questions, each with its processor."""

    from_photo: object
    from_text: object
    captioner: object
    reader: object
    judge: object
    asker: object


def load_models(c):
    """The Models that the constants name, on the best device; UserError if a package or the weights are missing."""
    diffusers, transformers = (need(name, name) for name in ("diffusers", "transformers"))
    device = devices.pick_device()
    kind = torch.float16 if device.type == "cuda" else torch.float32
    try:
        from_photo = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(c.MODEL, torch_dtype=kind).to(device)
        captioner = transformers.BlipForConditionalGeneration.from_pretrained(c.CAPTIONER).to(device)
        judge = transformers.BlipForQuestionAnswering.from_pretrained(c.JUDGE).to(device)
        processors = [transformers.BlipProcessor.from_pretrained(name) for name in (c.CAPTIONER, c.JUDGE)]
    except (OSError, ValueError) as error:
        raise UserError(f"the weights cannot be loaded ({str(error).splitlines()[0]}); they are fetched on first "
                        "use, or give MODEL, CAPTIONER and JUDGE as folders that hold them") from None
    from_text = diffusers.StableDiffusionPipeline.from_pipe(from_photo)
    return Models(from_photo, from_text, captioner, processors[0], judge, processors[1])


def caption_of(models, photo):
    """What a photo shows, without a word on style."""
    inputs = models.reader(images=photo, return_tensors="pt").to(models.captioner.device)
    words = models.captioner.generate(**inputs, max_new_tokens=30)
    return without_style(models.reader.batch_decode(words, skip_special_tokens=True)[0])


def without_style(caption):
    """A caption without "a painting of" and "in the style of ..."."""
    caption = re.sub(r",?\s*(in|with) the style of .*$", "", caption.strip(), flags=re.I)
    media = "painting|drawing|photograph|photo|picture|image|illustration|sketch|print|portrait|cartoon|poster"
    medium = rf"^(an?|the)?\s*(?:[\w-]+ ){{0,4}}?({media}) (of|showing) "
    return re.sub(medium, "", caption, flags=re.I).strip() or "a scene"


def prompt_of(caption, style):
    """The prompt for a style or a wish."""
    return WISHES.get(style, "{caption}, in the style of {style}").format(caption=caption, style=style)


def fitting_size(width, height):
    """Width and height of about PIXELS pixels in the same ratio, multiples of 8."""
    scale = (PIXELS / (width * height)) ** 0.5
    return tuple(max(8, round(side * scale / 8) * 8) for side in (width, height))


def paint(models, photo, prompt, c, strength):
    """Two pictures of a prompt, PIL, in the photo's ratio: from the photo, and from the prompt alone."""
    size = fitting_size(*photo.size)
    settings = {"prompt": prompt, "num_inference_steps": c.SAMPLE_STEPS, "guidance_scale": c.GUIDANCE}
    seeded = [torch.Generator().manual_seed(c.SEED) for _ in range(2)]
    one = models.from_photo(image=photo.resize(size, Image.LANCZOS), strength=strength, generator=seeded[0], **settings)
    two = models.from_text(width=size[0], height=size[1], generator=seeded[1], **settings)
    scale = min(1, (PIXELS / (photo.width * photo.height)) ** 0.5)
    exact = tuple(max(1, round(side * scale)) for side in photo.size)
    return [out.images[0].resize(exact, Image.LANCZOS) for out in (one, two)]


def says_yes(models, picture, style):
    """BLIP's answer to QUESTION, the same for all styles, pictures and photos."""
    asked = models.asker(images=picture, text=QUESTION.format(style=style), return_tensors="pt").to(models.judge.device)
    answer = models.asker.batch_decode(models.judge.generate(**asked, max_new_tokens=5), skip_special_tokens=True)[0]
    return answer.strip().lower().startswith("yes")


def styles_of(text):
    """The styles in a list with commas; UserError if there are none."""
    styles = [style.strip() for style in text.split(",") if style.strip()]
    if not styles:
        raise UserError("STYLES is empty; name one or more, such as: Hokusai, a woodcut")
    return styles


def run(models, photos, styles, c, folder):
    """Write all pictures and the scores; returns the answers {"photo" | "text" | "untouched": {style: [bool]}}."""
    answers = {kind: {style: [] for style in styles} for kind in ("photo", "text", "untouched")}
    for name, pixels in photos.items():
        photo = Image.fromarray(pixels)
        caption = caption_of(models, photo)
        print(f"{name}: {caption}")
        for style in styles:
            label = re.sub(r"\W+", "_", style)
            for kind, picture in zip(("photo", "text"), paint(models, photo, prompt_of(caption, style), c, c.STRENGTH)):
                png.save_png(folder / f"{name}_{label}_from_{kind}.png", np.asarray(picture.convert("RGB")))
                answers[kind][style].append(says_yes(models, picture, style))
            answers["untouched"][style].append(says_yes(models, photo, style))
    restyle.draw_scores(folder / "scores.png", answers["photo"], answers["untouched"])
    restyle.draw_scores(folder / "scores_from_text.png", answers["text"], answers["untouched"])
    return answers


def strength_rows(models, pixels, styles, c):
    """[strength, similarity to the photo, share of styles that took] for several strengths."""
    photo, rows = Image.fromarray(pixels), []
    caption = caption_of(models, photo)
    for strength in restyle.STRENGTHS:
        pictures = [paint(models, photo, prompt_of(caption, style), c, strength)[0].convert("RGB") for style in styles]
        alike = [restyle.similarity(np.asarray(picture.resize(photo.size)), pixels) for picture in pictures]
        took = [says_yes(models, picture, style) for picture, style in zip(pictures, styles)]
        rows.append([strength, round(float(np.mean(alike)), 3), round(float(np.mean(took)), 3)])
    return rows


def main(argv=None):
    """Restyle photos by Stable Diffusion; argv: a photo or a folder and overrides."""
    # fmt: off
    PHOTO        = ""                                       # a photo or a folder of photos; "": four of scikit-image
    STYLES       = "Banksy, Robert Delaunay, Kazimir Malevich, Vincent van Gogh"  # with commas; any names or wishes
    STRENGTH     = 0.6                                      # how far from the photo, 0 to 1
    SAMPLE_STEPS = 30                                       # network evaluations a picture
    GUIDANCE     = 7.5                                      # how closely to follow the prompt
    SEED         = 0                                        # another seed, other pictures
    MODEL        = "stable-diffusion-v1-5/stable-diffusion-v1-5"  # name or folder of the weights
    CAPTIONER    = "Salesforce/blip-image-captioning-base"  # the same, says what a photo shows
    JUDGE        = "Salesforce/blip-vqa-base"               # the same, answers whether a style took
    OUTPUT_DIR   = "samples"                                # pictures go to restyle_diffusers/ in here
    # fmt: on
    c = constants.settings(main, locals(), sys.argv[1:] if argv is None else argv)
    styles, photos = styles_of(c.STYLES), restyle.read_photos(c.PHOTO, restyle.PATCH)
    folder, _ = files.prepare_folders(c.OUTPUT_DIR, c.OUTPUT_DIR, "restyle_diffusers")
    models = load_models(c)
    answers = run(models, photos, styles, c, folder)
    rows = strength_rows(models, next(iter(photos.values())), styles, c)
    restyle.write_table(folder / "strength.csv", rows)
    for style in styles:
        means = [(kind, *restyle.interval(said[style])) for kind, said in answers.items()]
        print(f"{style}: " + ", ".join("{} {:.2f} ({:.2f} to {:.2f})".format(*mean) for mean in means))
    print(f"output: {folder}")
