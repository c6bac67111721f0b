"use strict";
// The form goes to the address of this page, which says where to go on.
if (new URLSearchParams(location.search).has("wrong")) document.getElementById("wrong").hidden = false;
