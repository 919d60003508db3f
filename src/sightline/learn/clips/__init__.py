"""The way of clips: frames through a frozen network, a recurrent network over them, the frame average beside it."""
