from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from html import escape

import gradio as gr
import numpy as np

from ..datasets.synthetic import generate_sample
from ..inference import PosePredictor
from ..inference.detection import AnimalDetector
from ..visualization import SIDE_COLOURS
from .inputs import read_box, read_texts, read_upload
from .views import draw_cross, resize, show_pose, show_score_maps

CLICK = 'Click two opposite corners of the animal in the image, or type its box, in pixels, and press Enter.'
HEIGHT = 'min(420px, 75vw)'  # of the two images on the page
THEME = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace'])  # no downloads
CSS = """
.legend span { display: inline-block; width: .8em; height: .8em; border: 1px solid #777; border-radius: 50% }
.legend { margin: 0 }
.maps .grid-wrap { max-height: none; padding-top: 2.25rem } /* label and buttons are over nothing */
.maps .grid-container { grid-template-columns: repeat(auto-fill, minmax(min(160px, 30%), 1fr)) !important }
/* captions are below the maps, not over their crosses */
.maps .thumbnail-lg { display: flex; flex-direction: column; height: auto; aspect-ratio: auto }
.maps .thumbnail-lg img { height: auto }
.maps .caption-label { position: static; max-width: 100%; white-space: normal; font-size: .75rem }
"""


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Show an error of the input as a message in the browser."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:
        raise gr.Error(escape(str(error)), print_exception=False) from error


class PoseDemo:
    """The page and what its buttons do.

    Args:
        predictor (PosePredictor): The model.
        detector (AnimalDetector, optional): Finds the box. Defaults to None, no button for it.
    """

    def __init__(self, predictor: PosePredictor, detector: AnimalDetector | None = None):
        self.predictor, self.detector = predictor, detector
        self.has_prompts = hasattr(predictor.model.head, 'compute_score_map')
        self.takes_any_name = hasattr(predictor.model.head, 'set_keypoint_names')
        self.app = gr.Blocks(title='CLAMP', analytics_enabled=False, delete_cache=(3600, 3600))
        with self.app:
            gr.Markdown("# CLAMP: pose of an animal, and where its keypoints' names are found")
            self.corner, self.next_example = gr.State(), gr.State(0)
            self._lay_out_pose()
            self._lay_out_maps()
            self._connect()

    def _lay_out_pose(self) -> None:
        with gr.Row():
            with gr.Column():
                self.image = gr.Image(
                    label='Image', type='filepath', sources=['upload', 'clipboard'], height=HEIGHT, buttons=[]
                )
                # the file as it is: gradio would open it, and a broken one end in a traceback
                self.image.preprocess = lambda upload: upload and upload.path
                self.hint = gr.Markdown(CLICK)
                with gr.Row():
                    labels = ('x', 'y', 'width', 'height')
                    self.box = [gr.Number(label=name, min_width=60) for name in labels]
                with gr.Row():
                    self.predict_button = gr.Button('Predict', variant='primary', min_width=120, size='md')
                    self.whole_button = gr.Button('Whole image', min_width=120, size='md')
                    self.detect_button = gr.Button(
                        'Detect', min_width=120, size='md', visible=self.detector is not None
                    )
                    self.example_button = gr.Button('Example', min_width=120, size='md')
            with gr.Column():
                buttons = ['download', 'fullscreen']
                self.picture = gr.Image(label='Pose', interactive=False, height=HEIGHT, buttons=buttons)
                colours = {side: f'rgb{colour}' for side, colour in SIDE_COLOURS.items()}
                marks = [f'<span style="background: {colour}"></span> {side}' for side, colour in colours.items()]
                gr.HTML(f'<p class="legend">{" &nbsp; ".join(marks)} of the animal. Faint is uncertain.</p>')
                self.table = gr.Dataframe(
                    headers=['keypoint', 'x', 'y', 'score'],
                    label='Keypoints',
                    max_height=240,
                    interactive=False,
                    column_widths=['40%', '20%', '20%', '20%'],
                )

    def _lay_out_maps(self) -> None:
        gr.Markdown('## Score maps')
        if not self.has_prompts:
            gr.Markdown(
                'This model has no prompts, hence no score maps. Use a config and a checkpoint (.pth) of CLAMP.'
            )
        with gr.Row(visible=self.has_prompts):
            with gr.Column(scale=1, min_width=240):
                names = '\n'.join(self.predictor.keypoint_names)
                self.texts = gr.Textbox(names, label='Keypoint names or other words, one a line', lines=8, max_lines=24)
                self.maps_button = gr.Button('Show the maps', variant='primary')
                self.names_button = gr.Button('Back to the trained names')
            with gr.Column(scale=3, min_width=320):
                # gradio's button to share goes to a site of its own, and fails anywhere else
                buttons = ['download', 'download_all', 'fullscreen']
                self.maps = gr.Gallery(label='Score maps', object_fit='contain', elem_classes='maps', buttons=buttons)
                self.scale = gr.Markdown()

    def _connect(self) -> None:
        names = '\n'.join(self.predictor.keypoint_names)
        seen = [self.picture, self.table, self.maps, self.scale]
        chosen = [self.corner, self.hint, *self.box, *seen]
        one = dict(concurrency_id='model', concurrency_limit=1, show_progress_on=self.picture)
        own = dict(api_visibility='private', **one)  # of the page alone
        maps = dict(one, show_progress_on=self.maps)
        inputs = [self.image, *self.box, self.texts]
        gr.on([self.predict_button.click, *(number.submit for number in self.box)], self.predict, inputs, chosen, **one)
        self.maps_button.click(self.score_maps, inputs, [self.maps, self.scale], **maps)
        whole = [self.image.upload, self.whole_button.click]
        gr.on(whole, self.whole_image, [self.image, self.texts], chosen, **own)
        self.image.clear(self.clear, None, chosen, **own)
        self.image.select(self.click, [self.image, self.corner, self.texts], chosen, **own)
        self.detect_button.click(self.detect, [self.image, self.texts], chosen, **own)
        example = [self.image, self.next_example, *chosen]
        self.example_button.click(self.example, [self.next_example, self.texts], example, **own)
        self.names_button.click(lambda: names, None, self.texts, api_visibility='private')

    def predict(self, path: str | None, x: float, y: float, width: float, height: float, texts: str) -> dict:
        """Show the animal of a box."""
        with errors_as_messages():
            return self._show(read_upload(path), (x, y, width, height), texts)

    def whole_image(self, path: str | None, texts: str) -> dict:
        """Show the animal of an image without a box."""
        with errors_as_messages():
            image = read_upload(path)
            return self._show(image, (0, 0, *image.shape[1::-1]), texts)

    def click(self, path: str, corner: tuple | None, texts: str, event: gr.SelectData) -> dict:
        """Remember a corner of the box, or take it for the second one and show the animal."""
        with errors_as_messages():
            image = read_upload(path)
            if corner is None:
                hint = f'First corner: {event.index[0]}, {event.index[1]}. Click the opposite one.'
                view, scale = resize(image)
                marked = draw_cross(view, np.multiply(event.index, scale))
                return {self.corner: event.index, self.hint: hint, self.picture: marked}
            (left, right), (top, bottom) = (sorted(pair) for pair in zip(corner, event.index))
            return self._show(image, (left, top, right - left, bottom - top), texts)

    def detect(self, path: str | None, texts: str) -> dict:
        """Show the animal that the detector is surest of."""
        with errors_as_messages():
            image = read_upload(path)
            boxes = self.detector(image)
            if not len(boxes):
                raise ValueError('The detector finds no animal. Click two corners of its box.')
        if len(boxes) > 1:
            gr.Info(f'The detector finds {len(boxes)} animals. This is the one that it is surest of.')
        return self._show(image, boxes[0].astype(float).round(1).tolist(), texts)

    def example(self, number: int, texts: str) -> dict:
        """Show a generated animal, another one each time."""
        bgr, annotations = generate_sample(0, 'val', number)
        image = np.ascontiguousarray(bgr[..., ::-1])
        return {self.image: image, self.next_example: number + 1, **self._show(image, annotations[0]['bbox'], texts)}

    def score_maps(self, path: str | None, x: float, y: float, width: float, height: float, texts: str) -> tuple:
        """Show where in a box each text is found."""
        with errors_as_messages():
            image = read_upload(path)
            return self._score_maps(image, read_box((x, y, width, height), image), texts)

    def clear(self) -> dict:
        """Forget the image."""
        values = {
            self.corner: None,
            self.hint: CLICK,
            self.picture: None,
            self.table: [],
            self.maps: [],
            self.scale: '',
        }
        return values | dict.fromkeys(self.box)

    def _show(self, image: np.ndarray, numbers: Sequence[float], texts: str) -> dict:
        """Return the values of all that shows an animal. Texts that do not fit leave its pose as it is."""
        box = read_box(numbers, image)
        if self.takes_any_name:
            with suppress(ValueError):  # which the maps below are shown with
                self.predictor.set_keypoint_names(read_texts(texts))
        [[pose]] = self.predictor([image], [box])
        names, values = self.predictor.keypoint_names, np.column_stack([pose.keypoints, pose.scores]).tolist()
        rows = [[name, round(x, 1), round(y, 1), round(score, 3)] for name, (x, y, score) in zip(names, values)]
        shown = {self.picture: show_pose(image, pose, self.predictor.metainfo), self.table: rows}
        if self.has_prompts:
            try:
                shown[self.maps], shown[self.scale] = self._score_maps(image, box, texts)
            except ValueError as error:
                gr.Warning(escape(str(error)))
                shown[self.maps], shown[self.scale] = [], ''
        return {self.corner: None, self.hint: CLICK, **dict(zip(self.box, numbers)), **shown}

    def _score_maps(self, image: np.ndarray, box: np.ndarray, texts: str) -> tuple:
        [[score_map]] = self.predictor.score_maps([image], [box], read_texts(texts))
        return show_score_maps(image, score_map)

    def launch(self, host: str, port: int) -> str:
        """Start the server beside this thread, and return its address.

        Raises:
            ValueError: If the port is taken, or the host is not this machine.
        """
        options = dict(
            share=False,
            run_history=False,
            ssr_mode=False,
            quiet=True,
            max_file_size='40mb',
            footer_links=['api', 'settings'],
        )
        try:
            return self.app.launch(
                server_name=host, server_port=port, prevent_thread_lock=True, theme=THEME, css=CSS, **options
            )[1]
        except (OSError, OverflowError) as error:
            raise ValueError(f'Port {port} of {host} cannot be opened. Choose another with --port.') from error
