// As little as webpack needs: nothing in it is for Pumice.
export default {
  mode: 'production',
  entry: { index: './src/index.js', inline: './src/inline.js' },
};
