"""The desktop window of text_to_image.py, to be opened with: python examples/text_to_image.py --window"""

import queue
import threading

import numpy as np
from common import need
from PIL import Image
from text_to_image import save_picture

from texture_diffusion_tools.running.errors import UserError


class Window:
    """The desktop window; training and drawing go on in a thread of their own and report through a queue."""

    def __init__(self, painter):
        self.ui = ui = need("customtkinter", "customtkinter")
        ui.set_appearance_mode("dark")
        self.painter, self.news, self.image = painter, queue.Queue(), None
        self.root = ui.CTk()
        self.root.title("Text to image")
        self.root.geometry("460x660")
        self.prompt = ui.CTkEntry(self.root, width=420, placeholder_text="red brick wall")
        self.steps = self.slider("steps", 5, 60, painter.c.SAMPLE_STEPS, 55)
        self.guidance = self.slider("guidance", 1, 6, painter.c.GUIDANCE, 50)
        self.seed = ui.CTkEntry(self.root, width=120, placeholder_text="seed")
        self.generate = ui.CTkButton(self.root, text="Generate", command=self.start)
        self.bar, self.says = ui.CTkProgressBar(self.root, width=420), ui.CTkLabel(self.root, text="")
        self.picture = ui.CTkLabel(self.root, text="")
        self.save = ui.CTkButton(self.root, text="Save", command=self.keep, state="disabled")
        for part in (self.prompt, self.seed, self.generate, self.bar, self.says, self.picture, self.save):
            part.pack(pady=5)
        self.root.bind("<Return>", lambda event: self.start())
        self.root.bind("<Control-s>", lambda event: self.keep())
        self.prompt.focus()
        self.work(self.train)
        self.root.after(50, self.listen)

    def slider(self, name, low, high, value, steps):
        """A slider with its name and value above it."""
        label = self.ui.CTkLabel(self.root, text="")

        def show(value):
            label.configure(text=f"{name} {value:g}")

        slider = self.ui.CTkSlider(self.root, from_=low, to=high, number_of_steps=steps, command=show)
        slider.set(value)
        show(value)
        label.pack()
        slider.pack(pady=3)
        return slider

    def work(self, task, *args):
        """Run a task off the window's thread; its end, or what went wrong, is news."""
        def run():
            try:
                self.news.put(("done", task(*args)))
            except Exception as error:  # whatever it is, the window has to say it
                self.news.put(("failed", error))

        self.generate.configure(state="disabled")
        threading.Thread(target=run, daemon=True).start()

    def train(self):
        self.news.put(("says", "getting ready; on first start the model is trained"))
        self.painter.fit(lambda share: self.news.put(("progress", share)))
        return None

    def start(self):
        """Draw what the prompt says."""
        if self.generate.cget("state") == "disabled":
            return
        try:
            seed = int(self.seed.get() or 0)
            unknown = self.painter.prompts.unknown(self.prompt.get())
        except ValueError:
            return self.says.configure(text=f"the seed is a whole number, not {self.seed.get()}")
        except UserError as error:
            return self.says.configure(text=str(error)[:70])
        self.says.configure(text=f"not known: {', '.join(unknown)}" if unknown else "drawing")
        self.work(self.painter.paint, self.prompt.get(), 1, round(self.steps.get()), self.guidance.get(), max(0, seed),
                  lambda share: self.news.put(("progress", share)))

    def listen(self):
        """Show what the thread reported."""
        while not self.news.empty():
            kind, value = self.news.get()
            if kind == "progress":
                self.bar.set(value)
            elif kind == "says":
                self.says.configure(text=value)
            else:
                self.generate.configure(state="normal")
                self.finish(kind, value)
        self.root.after(50, self.listen)

    def finish(self, kind, value):
        if kind == "failed":
            self.says.configure(text=str(value)[:70])
        elif value is None:
            self.says.configure(text="ready")
        else:
            self.image = Image.fromarray(self.painter.photo.pixels(value)[0])
            shown = self.ui.CTkImage(self.image.resize((256, 256), Image.NEAREST), size=(256, 256))
            self.picture.configure(image=shown)
            self.save.configure(state="normal")
            if self.says.cget("text") == "drawing":
                self.says.configure(text="done")

    def keep(self):
        """Save the picture, if there is one, under a free name in the pictures' folder."""
        if self.image is None:
            return
        path = save_picture(self.painter.results.folder, self.prompt.get(), np.asarray(self.image))
        self.says.configure(text=f"saved {path}"[:70])
