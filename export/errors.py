"""What the commands show in one line.

ExportError                 an export that cannot be done
├── OutputError             a place that no package can be written to
├── LabelsError             a labels file that cannot be read
├── ClassMapError           a class map that cannot be read
├── ForeignError            an ONNX file that cannot be adopted
├── AccuracyError           an adopted file whose accuracy is too low to be right
├── GraphError              a graph that must not become a package
├── ParityError             a graph that does not answer as its reference does
├── AnswerError             an answer that docs/graph.md does not allow
├── LabellingError         photos that cannot be labelled
├── FidelityError           photos on which nothing can be measured
├── Fault                   what is wrong with a package that is verified
└── ConversionError         a package that cannot be converted
"""


class ExportError(Exception):
    """An export that cannot be done; the message says why, and where there is a way what to do."""
