// Pictures side by side, to pan and zoom; see elements.py.
import { leaflet as L } from "nicegui-leaflet";

const CLOSEST = 5; // zooms beyond the tiles: 32 screen pixels for one of the texture

function stylesheet(url) {
  return new Promise((done) => {
    if (document.querySelector(`link[href="${url}"]`)) return done();
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: url, onload: done, onerror: done });
    document.head.appendChild(link);
  });
}

export default {
  template: `<div class="viewer"><figure v-for="pane in panes" :key="pane.tiles || pane.picture">
    <div class="map" role="application" :aria-label="pane.title + ': arrow keys move it, plus and minus zoom'"></div>
    <figcaption>{{ pane.title }}</figcaption></figure></div>`,
  props: { panes: Array, overlaid: Boolean, resourcePath: String },
  async mounted() {
    await this.$nextTick();
    await stylesheet(window.path_prefix + `${this.resourcePath}/leaflet/leaflet.css`);
    this.maps = new Map(); // of each element, its map
    this.build();
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.$el);
  },
  watch: {
    panes: { handler() { this.$nextTick(() => this.maps && this.build()); }, deep: true },
    overlaid() { this.maps && this.overlay(); },
  },
  unmounted() {
    this.observer?.disconnect();
    this.maps?.forEach((map) => map.remove());
  },
  methods: {
    build() {
      const elements = [...this.$el.querySelectorAll(".map")];
      const views = [...this.maps.values()].filter((map) => map.was_fitted && map.pane_shown.tiles);
      const before = views.length && { center: views[0].getCenter(), zoom: views[0].getZoom(), size: views[0].pane_shown };
      this.maps.forEach((map, element) => {
        if (elements.includes(element)) return;
        map.remove();
        this.maps.delete(element);
      });
      elements.forEach((element, k) => {
        if (!this.maps.has(element)) this.maps.set(element, this.make(element, this.panes[k]));
        this.maps.get(element).pane_shown = this.panes[k];
      });
      this.fit();
      const same = before && this.panes.some((pane) => pane.tiles && pane.width === before.size.width);
      if (same && views[0].was_moved) this.maps.forEach((map) => {
        if (!map.pane_shown.tiles) return;
        map.was_moved = true;
        map.setView(before.center, before.zoom, { animate: false });
      });
      this.overlay();
    },
    make(element, pane) {
      const map = L.map(element, { crs: L.CRS.Simple, zoomSnap: 0.25, zoomDelta: 0.5, attributionControl: false,
                                   wheelPxPerZoomLevel: 90, maxZoom: (pane.zoom || 0) + CLOSEST });
      map.pane_shown = pane;
      const native = pane.zoom || 0;
      const bounds = L.latLngBounds(map.unproject([0, pane.height], native), map.unproject([pane.width, 0], native));
      map.bounds_shown = bounds;
      if (pane.tiles) {
        map.under = this.underlay(map, pane).addTo(map);
        L.tileLayer(window.path_prefix + pane.tiles, { maxNativeZoom: native, maxZoom: native + CLOSEST, minZoom: 0, bounds,
                                                       noWrap: true, tileSize: 256, keepBuffer: 4 }).addTo(map);
      } else L.imageOverlay(window.path_prefix + pane.picture, bounds).addTo(map);
      for (const kind of ["pointerdown", "wheel", "keydown"])
        element.addEventListener(kind, () => this.maps.forEach((each) => (each.was_moved = true)), { passive: true });
      map.on("zoomend", () => {
        element.classList.toggle("pixels", map.getZoom() > native + 0.5);
        map.under?.setOpacity(map.getZoom() > native ? 0 : 1);
      });
      map.on("move", () => this.follow(map));
      return map;
    },
    underlay(map, pane) { // all of it, small: at broken zooms a hair of what is under the tiles is seen between them
      const native = pane.zoom || 0, side = 256 * 2 ** native;
      const bounds = L.latLngBounds(map.unproject([0, side], native), map.unproject([side, 0], native));
      const whole = pane.tiles.replace("{z}", 0).replace("{y}", 0).replace("{x}", 0);
      return L.imageOverlay(window.path_prefix + whole, bounds, { pane: "tilePane", zIndex: 0, className: "under" });
    },
    fit() { // show those whole that the person did not move yet; a plain picture at the scale of the pyramids
      this.following = true;
      const maps = [...this.maps.values()];
      for (const map of maps) {
        if (!map.getContainer().clientWidth) continue; // hidden; Leaflet would keep the size that it has now
        map.invalidateSize({ pan: false });
        map.setMinZoom(map.getBoundsZoom(map.bounds_shown) - (map.pane_shown.tiles ? 0.5 : 3));
        map.setMaxBounds(map.bounds_shown.pad(0.3));
        if (map.was_moved) continue;
        map.fitBounds(map.bounds_shown, { animate: false });
        map.was_fitted = true;
      }
      this.following = false;
      const leader = maps.find((map) => map.pane_shown.tiles);
      if (leader) this.follow(leader);
    },
    follow(leader) { // the others move with one: pyramids as a whole, a plain picture in its scale alone
      if (this.following || !leader.was_fitted) return;
      this.following = true;
      const scale = leader.getZoom() - (leader.pane_shown.zoom || 0);
      this.maps.forEach((map) => {
        if (map === leader || !map.was_fitted) return;
        const zoom = (map.pane_shown.zoom || 0) + scale;
        const both = map.pane_shown.tiles && leader.pane_shown.tiles;
        map.setView(both ? leader.getCenter() : map.getCenter(), Math.max(zoom, map.getMinZoom()), { animate: false });
      });
      this.following = false;
    },
    overlay() {
      this.maps.forEach((map) => {
        map.overlay_shown?.remove();
        map.overlay_shown = null;
        if (this.overlaid && map.pane_shown.overlay)
          map.overlay_shown = L.imageOverlay(window.path_prefix + map.pane_shown.overlay, map.bounds_shown,
                                             { className: "overlay" }).addTo(map);
      });
    },
  },
};
