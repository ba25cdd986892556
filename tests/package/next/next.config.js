// Nothing in it is for Pumice: the root only tells Next.js where this application ends.
export default { turbopack: { root: import.meta.dirname } };
