// A place in a NiceGUI page for an ES module of ours; the module itself needs no framework.
export default {
  template: '<div class="sl-root"></div>',
  props: { module: String },
  async mounted() {
    const { mount } = await import(`/static/${this.module}.js`);
    this.unmount = mount(this.$el);
  },
  unmounted() {
    this.unmount?.();
  },
};
