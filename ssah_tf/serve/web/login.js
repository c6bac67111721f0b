"use strict";
const why = { "?wrong": "wrong", "?paced": "paced" }[location.search];
if (why) document.getElementById(why).hidden = false;
