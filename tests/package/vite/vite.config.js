// Two pages; nothing in it is for Pumice.
export default {
  build: { rolldownOptions: { input: ['index.html', 'hooks.html'] } },
};
