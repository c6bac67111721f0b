"use strict";
// The form goes to the address of this page, which says where to go on.
const said = new URLSearchParams(location.search);
for (const why of ["wrong", "paced"]) if (said.has(why)) document.getElementById(why).hidden = false;
