// A private window, as far as a worker can see: IndexedDB is there and may not be opened.
IDBFactory.prototype.open = () => {
  throw new DOMException("The operation is insecure.", "SecurityError");
};
