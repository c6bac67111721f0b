// The page: codes the pictures that are chosen. Its address may name where the encoder, the folder
// of the runtime, and a search page are: ?encoder=encoder.onnx&runtime=../dist/&service=http://...

import { loadEncoder } from "./encoder.mjs";

const $ = (id) => document.getElementById(id);
const named = new URLSearchParams(location.search);
const service = /^https?:/.test(named.get("service") ?? "") ? named.get("service") : null;

let encoder;
try {
  encoder = await loadEncoder(named.get("encoder") ?? "encoder.onnx", named.get("runtime") ?? "../dist/");
  $("status").textContent = `Model ${encoder.modelId}, codes of ${encoder.bits} bits`;
  $("file").disabled = false;
} catch (error) {
  $("status").textContent = `The encoder cannot be loaded: ${error.message}.`;
}

async function show(file) {
  const { code, appearance, differs } = await encoder.encode(file);
  $("code").textContent = code;
  $("note").textContent = differs.length ? `A few bits may differ from those of Python: ${differs.join("; ")}.` : "";
  if (service) {
    const address = new URL(service);
    address.search = new URLSearchParams({ code: code + appearance, model: encoder.modelId });
    $("search").href = address;
    $("search").hidden = false;
  }
}

$("file").addEventListener("change", async () => {
  const [file] = $("file").files;
  if (!file) return;
  URL.revokeObjectURL($("preview").src);
  $("preview").src = URL.createObjectURL(file);
  $("preview").hidden = false;
  $("search").hidden = true;
  $("code").textContent = "";
  $("note").textContent = "Coding …";
  try {
    await show(file);
  } catch (error) {
    $("note").textContent = `Not coded: ${error.message}.`;
  }
});
