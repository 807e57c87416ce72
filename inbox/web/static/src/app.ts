// What every page gets. The inbox itself starts only where it is.
import "./customer";
import "./keys";
import "./menu";
import "./morph";
import "./new";
import "./theme";
import "./tip";

import { byId } from "./dom";
import { startInbox } from "./inbox";
import { startLive } from "./live";

if (byId("panes")) startInbox();
startLive();
