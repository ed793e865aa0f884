// The builder's own filter, without a library: every check, or only what failed.
function showValidations(all) {
  for (const cell of document.querySelectorAll(".hide-succeeded-validation-target-child")) {
    cell.closest("tr").hidden = !all;
  }
}
window.showAllValidations = () => showValidations(true);
window.hideSucceededValidations = () => showValidations(false);
