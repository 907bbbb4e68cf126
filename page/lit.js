// A material under a light that follows the pointer; see elements.py.
import { THREE } from "nicegui-scene";

export default {
  template: `<div class="lit" tabindex="0" role="img" aria-label="the material on a plane and a sphere; move the pointer or
    press the arrow keys to move the light"></div>`,
  props: { maps: Object, down: Boolean },
  mounted() {
    this.light = [0.3, 0.4];
    try {
      this.start();
    } catch (error) {
      this.$el.textContent = "This browser shows no 3D graphics (WebGL).";
    }
  },
  watch: { maps: { handler() { this.renderer && this.dress(); }, deep: true } },
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
      this.camera = new THREE.PerspectiveCamera(30, 2, 0.1, 50);
      this.camera.position.set(0, 0, 6.4);
      this.scene.background = new THREE.Color(0x1d1a17);
      this.lamp = new THREE.PointLight(0xffffff, 22);
      this.scene.add(this.lamp, new THREE.HemisphereLight(0xffffff, 0x666666, 0.9));
      this.plane = new THREE.Mesh(new THREE.PlaneGeometry(2.6, 2.6, 320, 320), this.material());
      this.plane.position.x = -1.5;
      this.sphere = new THREE.Mesh(new THREE.SphereGeometry(1.25, 320, 200), this.material());
      this.sphere.position.x = 1.5;
      this.scene.add(this.plane, this.sphere);
      this.dress();
      this.$el.addEventListener("pointermove", (event) => {
        const box = this.$el.getBoundingClientRect();
        this.move((2 * (event.clientX - box.left)) / box.width - 1, 1 - (2 * (event.clientY - box.top)) / box.height);
      });
      this.$el.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
        if (!way) return;
        event.preventDefault();
        this.move(this.light[0] + way[0], this.light[1] + way[1]);
      });
      this.observer = new ResizeObserver(() => this.resize());
      this.observer.observe(this.$el);
    },
    material() {
      return new THREE.MeshStandardMaterial({ roughness: 1, metalness: 0 });
    },
    dress() { // give both bodies the maps
      const loader = new THREE.TextureLoader();
      const load = (kind, repeat, coloured) => {
        if (!this.maps[kind]) return null;
        const texture = loader.load(window.path_prefix + this.maps[kind], () => this.draw());
        texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
        texture.repeat.set(...repeat);
        texture.anisotropy = 8;
        if (coloured) texture.colorSpace = THREE.SRGBColorSpace;
        return texture;
      };
      for (const [body, repeat, depth] of [[this.plane, [1, 1], 0.06], [this.sphere, [3, 1.5], 0.03]]) {
        const normal = load("normal", repeat), height = load("height", repeat), metal = load("metal", repeat);
        Object.assign(body.material, {
          map: load("colour", repeat, true), normalMap: normal, roughnessMap: load("roughness", repeat),
          displacementMap: height, displacementScale: height ? depth : 0, displacementBias: -depth / 2,
          bumpMap: normal ? null : height, bumpScale: 3, metalnessMap: metal, metalness: metal ? 1 : 0,
        });
        body.material.normalScale.set(1, this.down ? -1 : 1);
        body.material.needsUpdate = true;
        body.visible = Boolean(this.maps.colour || normal || height);
      }
      this.draw();
    },
    move(x, y) {
      this.light = [Math.max(-1, Math.min(1, x)), Math.max(-1, Math.min(1, y))];
      this.draw();
    },
    resize() {
      const { clientWidth, clientHeight } = this.$el;
      if (!clientWidth || !clientHeight) return;
      this.renderer.setSize(clientWidth, clientHeight);
      this.camera.aspect = clientWidth / clientHeight;
      this.camera.position.z = Math.max(6.4, 12.4 / this.camera.aspect);
      this.camera.updateProjectionMatrix();
      this.draw();
    },
    draw() {
      this.lamp.position.set(3.5 * this.light[0], 2.5 * this.light[1], 2.2);
      this.renderer.render(this.scene, this.camera);
    },
  },
};
