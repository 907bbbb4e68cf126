// A .glb to be turned in the light: drag turns it, the wheel and plus and minus come nearer; see elements.py.
import { THREE, GLTFLoader, OrbitControls } from "nicegui-scene";

const FAR = 1.85; // from the middle, in lengths of the longer side
const STEP = 0.15; // radians that an arrow key turns it

export default {
  template: `<div class="lit turned" tabindex="0" role="img" aria-label="the .glb; drag it or press the arrow keys to turn
    it, use the wheel or plus and minus to come nearer"></div>`,
  props: { address: String },
  mounted() {
    try {
      this.start();
    } catch (error) {
      this.$el.textContent = "This browser shows no 3D graphics (WebGL).";
    }
  },
  watch: { address() { this.renderer && this.load(); } },
  unmounted() {
    this.observer?.disconnect();
    this.renderer?.dispose();
  },
  methods: {
    start() {
      this.renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
      this.renderer.setPixelRatio(Math.min(2, window.devicePixelRatio));
      this.$el.appendChild(this.renderer.domElement);
      this.scene = new THREE.Scene();
      this.scene.background = new THREE.Color(0x1d1a17);
      this.camera = new THREE.PerspectiveCamera(35, 1, 0.01, 20);
      this.camera.position.set(0.25, 0.35, 1.7).setLength(FAR);
      const lamp = new THREE.DirectionalLight(0xffffff, 3);
      lamp.position.set(-1.5, 1.2, 1.6);
      this.scene.add(lamp, new THREE.HemisphereLight(0xffffff, 0x777777, 0.9));
      this.controls = new OrbitControls(this.camera, this.renderer.domElement);
      Object.assign(this.controls, { enablePan: false, minDistance: 0.4, maxDistance: 4 });
      this.controls.addEventListener("start", () => (this.was_turned = true));
      this.controls.addEventListener("change", () => this.draw());
      this.$el.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [STEP, 0, 1], ArrowRight: [-STEP, 0, 1], ArrowUp: [0, STEP, 1], ArrowDown: [0, -STEP, 1],
                      "+": [0, 0, 0.9], "-": [0, 0, 1.1] }[event.key];
        if (!way) return;
        event.preventDefault();
        this.turn(...way);
      });
      this.observer = new ResizeObserver(() => this.resize());
      this.observer.observe(this.$el);
      this.load();
    },
    load() {
      this.shown && this.scene.remove(this.shown);
      this.shown = null;
      delete this.$el.dataset.loaded;
      const wanted = this.address;
      if (!wanted) return this.draw();
      new GLTFLoader().load(window.path_prefix + wanted, (found) => {
        if (wanted !== this.address) return;
        this.shown = found.scene;
        this.shown.traverse((part) => {
          if (!part.material) return;
          part.material.side = THREE.DoubleSide;
          for (const map of ["map", "normalMap", "roughnessMap"]) if (part.material[map]) part.material[map].anisotropy = 8;
        });
        this.scene.add(this.shown);
        this.draw();
        this.$el.dataset.loaded = wanted;
      }, undefined, () => { this.$el.dataset.loaded = "failed"; });
    },
    turn(across, up, nearer) {
      this.was_turned = true;
      const place = new THREE.Spherical().setFromVector3(this.camera.position);
      place.theta += across;
      place.phi = Math.max(0.1, Math.min(Math.PI - 0.1, place.phi - up));
      place.radius = Math.max(0.4, Math.min(4, place.radius * nearer));
      this.camera.position.setFromSpherical(place);
      this.controls.update();
      this.draw();
    },
    resize() {
      const { clientWidth, clientHeight } = this.$el;
      if (!clientWidth || !clientHeight) return;
      this.renderer.setSize(clientWidth, clientHeight);
      this.camera.aspect = clientWidth / clientHeight;
      if (!this.was_turned) this.camera.position.setLength(FAR * Math.max(1, 0.95 / this.camera.aspect));
      this.camera.updateProjectionMatrix();
      this.draw();
    },
    draw() {
      this.renderer.render(this.scene, this.camera);
    },
  },
};
